#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| modelkit_fuzz::run("toc", input));
