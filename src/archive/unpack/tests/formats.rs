//! The formats of headers: what their fields mean must be the same to all readers.

use super::*;

#[test]
fn headers_whose_format_readers_do_not_agree_on_are_refused() {
    let header = |magic, flag| {
        let fields = Fields {
            flag,
            magic,
            ..Fields::default()
        };
        Archive::new().header(&fields).file("f", b"")
    };
    let sandbox = Sandbox::new();
    for archive in [
        // Some take these for extended headers, others for files.
        header(b"\0\0\0\0\0\0\0\0", b'x'),
        header(b"\0\0\0\0\0\0\0\0", b'g'),
        header(b"\0\0\0\0\0\0\0\0", b'L'),
        // Some see a prefix by the first part alone.
        header(b"ustar\x0001", b'0'),
        header(b"ustar\0\0\0", b'0'),
        header(b"ustar \0\0", b'0'),
        // In this one the prefix is shorter.
        Archive::new().header(&Fields {
            prefix: &[&[b'p'; 163][..], b"tar\0"].concat(),
            ..Fields::default()
        }),
    ] {
        assert!(matches!(
            sandbox.refuse(&archive.end()),
            Error::Header { .. }
        ));
    }
    sandbox
        .unpack(&header(b"\0\0\0\0\0\0\0\0", b'0').end())
        .unwrap();
}
