#![no_main]

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    let size = libfuzzer_sys::fuzzer_mutate(data, size, most);
    modelkit_fuzz::mend_archive(data, size, most, seed)
});
libfuzzer_sys::fuzz_target!(|input: &[u8]| modelkit_fuzz::run("layer", input));
