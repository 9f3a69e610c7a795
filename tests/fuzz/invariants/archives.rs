//! Archives to begin with, written block by block: one for each way in which an entry is told.

/// An archive in the making.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    /// Adds a header with `size` as it stands, the content, and zeros up to the next block.
    fn raw(mut self, flag: u8, name: &[u8], mode: &[u8], size: &[u8], content: &[u8]) -> Self {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name);
        put(100, mode);
        put(108, b"0001750\0");
        put(116, b"0000000\0");
        put(124, size);
        put(136, b"00000000000\0");
        put(156, &[flag]);
        put(257, b"ustar\x0000");
        put(148, b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn entry(self, flag: u8, name: &str, content: &[u8]) -> Self {
        let size = format!("{:011o}\0", content.len());
        self.raw(
            flag,
            name.as_bytes(),
            b"0000644\0",
            size.as_bytes(),
            content,
        )
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name, content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Returns archives that are accepted.
pub(super) fn accepted() -> Vec<Vec<u8>> {
    let new = Archive::default;
    let run =
        |archive: Archive| archive.raw(b'0', b"d/run.sh", b"0000755\0", b"00000000003\0", b"#!x");
    let large =
        |archive: Archive| archive.raw(b'0', b"huge", b"0000644\0", b"00000000000\0", b"abc");
    vec![
        new().end(),
        run(new().entry(b'5', "d/", b"").file("f", b"content")).end(),
        new().file("./a/g", b"").file("a//new", &[b'x'; 600]).end(),
        new()
            .entry(b'x', "p", b"15 path=d/long\n14 mtime=1.25\n")
            .file("short", b"x")
            .end(),
        large(new().entry(b'x', "p", b"10 size=3\n")).end(),
        new()
            .entry(b'L', "././@LongLink", b"a/very/long/name\0")
            .file("a/ver", b"y")
            .end(),
        new()
            .entry(b'g', "g", b"14 comment=ab\n")
            .file("f", b"1")
            .end(),
        new().entry(0, "old/", b"").entry(0, "old/f", b"1").end(),
        new()
            .raw(
                b'0',
                b"f",
                b"\0\0\0\0\0\0\0\0",
                &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
                b"ab",
            )
            .end(),
        new()
            .raw(b'5', b"s", b"0007777\0", b"00000000000 ", b"")
            .file("s/f", b"")
            .end(),
    ]
}

/// Returns archives that are refused.
pub(super) fn refused() -> Vec<Vec<u8>> {
    let new = Archive::default;
    let mut trailing = new().file("f", b"1").end();
    trailing.extend(new().file("g", b"2").end());
    vec![
        Vec::new(),
        new().file("../x", b"").end(),
        new().file("/x", b"").end(),
        new().entry(b'2', "a", b"").file("a/x", b"").end(),
        new().entry(b'1', "a", b"").end(),
        new()
            .entry(b'x', "p", b"9 path=a\n9 path=b\n")
            .file("f", b"")
            .end(),
        new()
            .entry(b'x', "p", b"11 path=../x\n")
            .file("f", b"")
            .end(),
        new()
            .entry(b'x', "p", b"10 size=1\n")
            .file("f", b"abc")
            .end(),
        new().entry(b'g', "p", b"9 path=a\n").file("f", b"").end(),
        new().entry(b'x', "p", b"9 path=a\n").end(),
        new()
            .entry(b'x', "p", b"22 GNU.sparse.major=1\n")
            .file("f", b"")
            .end(),
        new().entry(b'S', "f", b"").end(),
        new()
            .raw(b'x', b"p", b"0000644\0", b"77777777777\0", b"")
            .end(),
        new().raw(b'0', b"f", b"0000644\0", &[0xff; 12], b"").end(),
        new().file("f", b"1").0,
        new().file("f", b"1").end()[..700].to_vec(),
        trailing,
    ]
}

/// Returns archives that can be read, but not unpacked.
pub(super) fn not_unpacked() -> Vec<Vec<u8>> {
    let new = Archive::default;
    vec![
        new().file("f", b"1").file("./f", b"2").end(),
        new().file("f", b"1").file("f/x", b"2").end(),
        new().file("a/x", b"2").file("a", b"1").end(),
    ]
}
