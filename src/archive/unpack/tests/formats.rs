//! The formats of headers: what their fields mean must be the same to all readers.

use super::*;

// hazard: 3, 7
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

// hazard: 29
#[test]
fn an_extended_header_of_a_mebibyte_is_read_and_one_byte_more_is_not() {
    let sandbox = Sandbox::new();
    // 7 digits, a blank, `comment=`, a line feed.
    let pax = |length: usize| {
        let value = vec![b'x'; length - 17];
        Archive::new()
            .pax(&[("comment", &value)])
            .file("f", b"f")
            .end()
    };
    sandbox.unpack(&pax(1 << 20)).unwrap();
    assert_eq!(sandbox.read("f"), b"f");
    let sandbox = Sandbox::new();
    assert!(matches!(
        sandbox.refuse(&pax((1 << 20) + 1)),
        Error::Header { .. }
    ));
    let long = |length: usize| {
        let name = vec![b'x'; length];
        Archive::new().entry(b'L', b"@", &name).file("f", b"").end()
    };
    // It is read, and then too long for a name.
    assert!(matches!(sandbox.refuse(&long(1 << 20)), Error::Name { .. }));
    assert!(matches!(
        sandbox.refuse(&long((1 << 20) + 1)),
        Error::Header { .. }
    ));
}
