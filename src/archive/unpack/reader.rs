//! Reading a tar archive strictly: every archive that two readers could understand in two ways
//! is refused, and nothing behind the last entry goes unread.

use std::io::{self, Read, Seek};

use tar::Header;

use super::{name, pax};
use crate::{
    archive::{
        Error,
        decompress::{Decompressed, Sums},
    },
    digest::{Digest, Hasher},
};

/// A tar block.
const BLOCK: usize = 512;
/// What is read and hashed at a time: large enough that calls do not count.
const BUFFER: usize = 256 * 1024;
/// What is read at a time for the headers alone: some small files, but not much of a large one.
const HEADERS_BUFFER: usize = 16 * 1024;
/// Largest accepted PAX header or long name.
const META_LIMIT: u64 = 1024 * 1024;
/// The largest size that fits a header in octal; some writers put it where PAX tells the truth.
const OCTAL_MAX: u64 = 0o777_7777_7777;

/// What an entry is. There is nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The cleaned path: relative, `/` between components, no `.` or `..` among them. Empty for
    /// the folder that holds everything. On Unix any bytes but NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The permission bits as they stand in the archive.
    pub mode: u32,
    /// How many bytes of content follow.
    pub size: u64,
}

impl Entry {
    /// Tells whether the owner may execute the file.
    pub const fn executable(&self) -> bool {
        self.mode & 0o100 != 0
    }
}

/// Reads the entries of an archive one after the other, and hashes every byte of it.
pub struct TarReader<R> {
    source: Decompressed<R>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Content of the current entry that was not read yet.
    left: u64,
    /// Zeros behind the content, up to the next block.
    padding: u64,
    /// Hashes what is no content, if that is wanted.
    between: Option<Hasher>,
    done: bool,
}

impl<R: Read> TarReader<R> {
    /// Returns a reader at the beginning of the archive `read`, which is not compressed.
    pub fn new(read: R) -> Self {
        Self::of(Decompressed::plain(read))
    }

    /// Returns a reader at the beginning of the archive that `source` unpacks to.
    pub fn of(source: Decompressed<R>) -> Self {
        Self::with_buffer(source, BUFFER)
    }

    fn with_buffer(source: Decompressed<R>, size: usize) -> Self {
        Self {
            source,
            buffer: vec![0; size].into_boxed_slice(),
            start: 0,
            end: 0,
            left: 0,
            padding: 0,
            between: None,
            done: false,
        }
    }

    /// From here on hashes what stands between contents, if all content is read.
    pub fn hash_between(&mut self) {
        self.between = Some(Hasher::new());
    }

    /// Returns the digest of what stood between contents.
    pub fn between(&self) -> Digest {
        self.between.clone().unwrap_or_default().finish()
    }

    /// Returns how many bytes of the archive were taken from the source.
    pub const fn count(&self) -> u64 {
        self.source.count()
    }

    /// Returns the next entry, passing over what is left of the current one. `None` comes only
    /// after the archive was read to its last byte.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        if self.done {
            return Ok(None);
        }
        self.skip(self.left, false)?;
        self.skip(self.padding, true)?;
        (self.left, self.padding) = (0, 0);
        let mut extended: Option<pax::Records> = None;
        let mut long_name: Option<Vec<u8>> = None;
        loop {
            let at = self.position();
            let invalid = |why: &str| Error::Header {
                at,
                why: why.to_owned(),
            };
            let Some(block) = self.block()? else {
                return Err(Error::NoEnd);
            };
            if block.iter().all(|&byte| byte == 0) {
                if extended.is_some() || long_name.is_some() {
                    return Err(invalid(
                        "the entry that an extended header describes is missing",
                    ));
                }
                self.read_end()?;
                self.done = true;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            let fields = header.as_old();
            check_sum(&block, &fields.cksum).map_err(invalid)?;
            check_format(&block, fields.linkflag[0]).map_err(invalid)?;
            let size = number(&fields.size).ok_or_else(|| invalid("the size"))?;
            match fields.linkflag[0] {
                b'x' => {
                    let body = self.meta(at, size)?;
                    if extended.is_some() {
                        return Err(invalid("two extended headers for one entry"));
                    }
                    extended = Some(pax::parse(&body).map_err(|why| Error::Header { at, why })?);
                }
                b'g' => {
                    let body = self.meta(at, size)?;
                    pax::check_global(&body).map_err(|why| Error::Header { at, why })?;
                }
                b'L' => {
                    let mut body = self.meta(at, size)?;
                    if body.last() == Some(&0) {
                        body.pop();
                    }
                    if long_name.replace(body).is_some() {
                        return Err(invalid("two long names for one entry"));
                    }
                }
                flag => {
                    let records = extended.unwrap_or_default();
                    let raw_name = match (records.path, long_name) {
                        (Some(_), Some(_)) => return Err(invalid("two names for one entry")),
                        (Some(path), None) | (None, Some(path)) => path,
                        (None, None) => header_name(header),
                    };
                    let size = match records.size {
                        None => size,
                        Some(told) if size == 0 || size == told => told,
                        Some(told) if size == OCTAL_MAX && told > size => told,
                        Some(_) => return Err(invalid("two sizes for one entry")),
                    };
                    let mode = octal(&fields.mode, true).ok_or_else(|| invalid("the mode"))?;
                    let mode = u32::try_from(mode & 0o7777).expect("12 bits fit");
                    let entry = entry(flag, &raw_name, mode, size)?;
                    self.left = size;
                    self.padding = padding(size);
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Reads content of the current entry into `into`; 0 at its end.
    pub fn read_content(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let read = if self.start == self.end && wanted >= self.buffer.len() {
            // Past the buffer: large content is copied once, by the kernel.
            retry(|| self.source.read(&mut into[..wanted]))?
        } else {
            if self.start == self.end {
                self.fill()?;
            }
            let read = wanted.min(self.end - self.start);
            into[..read].copy_from_slice(&self.buffer[self.start..self.start + read]);
            self.start += read;
            read
        };
        if read == 0 {
            return Err(self.cut_off());
        }
        self.left -= read as u64;
        Ok(read)
    }

    /// Passes over what is left, as strictly as if it were used, and returns what the whole
    /// layer came to.
    pub fn finish(mut self) -> Result<Sums, Error> {
        while self.next_entry()?.is_some() {}
        Ok(self.source.finish())
    }

    /// Takes what is left without understanding it, and returns the digest and size of the whole
    /// source: it tells damage from an archive that was made so.
    pub fn drain(self) -> Result<(Digest, u64), Error> {
        self.source.drain().map_err(Error::Read)
    }

    /// Returns where in the archive the next unread byte is.
    pub const fn position(&self) -> u64 {
        self.source.count() - (self.end - self.start) as u64
    }

    fn cut_off(&self) -> Error {
        Error::CutOff {
            at: self.source.count(),
        }
    }

    /// Fills the empty buffer; it stays empty at the end of the source.
    fn fill(&mut self) -> Result<(), Error> {
        self.start = 0;
        self.end = 0;
        self.end = retry(|| self.source.read(&mut self.buffer))?;
        Ok(())
    }

    /// Returns the next block; `None` if the source ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            if self.start == self.end {
                self.fill()?;
            }
            let read = (BLOCK - have).min(self.end - self.start);
            if read == 0 {
                return if have == 0 {
                    Ok(None)
                } else {
                    Err(self.cut_off())
                };
            }
            block[have..have + read].copy_from_slice(&self.buffer[self.start..self.start + read]);
            self.start += read;
            have += read;
        }
        if let Some(between) = &mut self.between {
            between.update(&block);
        }
        Ok(Some(block))
    }

    fn skip(&mut self, mut count: u64, is_between: bool) -> Result<(), Error> {
        while count > 0 {
            if self.start == self.end {
                self.fill()?;
                if self.end == 0 {
                    return Err(self.cut_off());
                }
            }
            let here = count.min((self.end - self.start) as u64);
            let end = self.start + usize::try_from(here).expect("at most the buffer");
            if let Some(between) = self.between.as_mut().filter(|_| is_between) {
                between.update(&self.buffer[self.start..end]);
            }
            self.start = end;
            count -= here;
        }
        Ok(())
    }

    /// Reads the body of an extended header or long name.
    fn meta(&mut self, at: u64, size: u64) -> Result<Vec<u8>, Error> {
        if size > META_LIMIT {
            let why = "an extended header of more than 1 MiB".to_owned();
            return Err(Error::Header { at, why });
        }
        self.left = size;
        let mut body = vec![0; usize::try_from(size).expect("at most 1 MiB")];
        let mut have = 0;
        while have < body.len() {
            have += self.read_content(&mut body[have..])?;
        }
        if let Some(between) = &mut self.between {
            between.update(&body);
        }
        self.skip(padding(size), true)?;
        Ok(body)
    }

    /// Checks what follows the first zero block: another one, then zeros to the end.
    fn read_end(&mut self) -> Result<(), Error> {
        let second = self.block()?.ok_or(Error::NoEnd)?;
        if second.iter().any(|&byte| byte != 0) {
            return Err(Error::Trailing);
        }
        loop {
            if self.buffer[self.start..self.end]
                .iter()
                .any(|&byte| byte != 0)
            {
                return Err(Error::Trailing);
            }
            self.fill()?;
            if self.end == 0 {
                return Ok(());
            }
        }
    }
}

impl<R: Read + Seek> TarReader<R> {
    /// Returns a reader of an archive that is known to be sound, for the headers alone: content
    /// is to be passed over, so little is read at a time.
    pub fn of_headers(read: R) -> Self {
        Self::with_buffer(Decompressed::plain(read), HEADERS_BUFFER)
    }

    /// Passes over the content of the current entry without reading it. What `finish` and `drain`
    /// say of the archive is then meaningless.
    pub fn pass_over_content(&mut self) -> Result<(), Error> {
        let count = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        let buffered = count.min((self.end - self.start) as u64);
        self.start += usize::try_from(buffered).expect("at most the buffer");
        match count - buffered {
            0 => Ok(()),
            rest => self.source.pass_over(rest).map_err(Error::Read),
        }
    }
}

/// Reads the content of the current entry.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.read_content(into).map_err(io::Error::other)
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> Result<usize, Error> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(Error::read),
        }
    }
}

const fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// Returns the entry that a header with these fields stands for.
fn entry(flag: u8, raw_name: &[u8], mode: u32, size: u64) -> Result<Entry, Error> {
    let refuse = |kind: &str| {
        let path = name::text(&raw_name[..raw_name.len().min(300)]);
        Err(Error::Kind {
            path,
            kind: kind.to_owned(),
        })
    };
    let slash = raw_name.ends_with(b"/");
    let kind = match flag {
        // Before there was a type for folders, the slash made one.
        0 if slash && size == 0 => Kind::Folder,
        0 | b'0' if slash => return refuse("a file whose name ends in a slash"),
        0 | b'0' => Kind::File,
        b'5' if size > 0 => return refuse("a folder with content"),
        b'5' => Kind::Folder,
        b'1' => return refuse("a hard link"),
        b'2' => return refuse("a symbolic link"),
        b'3' | b'4' => return refuse("a device"),
        b'6' => return refuse("a fifo"),
        b'S' => return refuse("a sparse file"),
        b'K' => return refuse("a link with a long target"),
        _ => return refuse(&format!("of the unknown type `{}`", flag.escape_ascii())),
    };
    let path = name::clean(raw_name)?;
    if path.is_empty() && kind == Kind::File {
        return refuse("a file in place of the folder that holds everything");
    }
    Ok(Entry {
        path,
        kind,
        mode,
        size,
    })
}

/// Returns the name in a header, with its USTAR prefix.
fn header_name(header: &Header) -> Vec<u8> {
    let until_nul = |field: &[u8]| {
        let end = field.iter().position(|&byte| byte == 0);
        field[..end.unwrap_or(field.len())].to_owned()
    };
    let base = until_nul(&header.as_old().name);
    match header.as_ustar().map(|ustar| until_nul(&ustar.prefix)) {
        Some(prefix) if !prefix.is_empty() => [&prefix, &b"/"[..], &base].concat(),
        _ => base,
    }
}

/// Checks that readers agree on what the fields behind the old ones mean. Some take an extended
/// header for a file where its format has none, or know a prefix by half of its mark.
fn check_format(block: &[u8; BLOCK], flag: u8) -> Result<(), &'static str> {
    const STAR: &[u8] = b"tar\0";
    match &block[257..265] {
        b"ustar\x0000" if block.ends_with(STAR) => Err("the format of star"),
        b"\0\0\0\0\0\0\0\0" if matches!(flag, b'x' | b'g' | b'L') => {
            Err("an extended header in a format without them")
        }
        b"ustar\x0000" | b"ustar  \0" | b"\0\0\0\0\0\0\0\0" => Ok(()),
        _ => Err("the format is not known"),
    }
}

fn check_sum(block: &[u8; BLOCK], field: &[u8]) -> Result<(), &'static str> {
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    let own: u64 = field.iter().map(|&byte| u64::from(byte)).sum();
    let blank = 8 * u64::from(b' ');
    if octal(field, false) == Some(sum - own + blank) {
        Ok(())
    } else {
        Err("the checksum does not match")
    }
}

/// Reads a size: octal, or base-256 if the first bit is set. Nothing negative, nothing above
/// what a signed 64-bit number holds.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 == 0 {
        return octal(field, false);
    }
    // The second bit is the sign.
    let first = (field[0] & 0x40 == 0).then_some(field[0] & 0x3f)?;
    let number = field[1..]
        .iter()
        .try_fold(u64::from(first), |number, &byte| {
            (number >> 56 == 0).then_some((number << 8) | u64::from(byte))
        })?;
    i64::try_from(number).is_ok().then_some(number)
}

/// Reads octal digits, spaces before and NULs or spaces behind them allowed, nothing else.
fn octal(field: &[u8], may_be_blank: bool) -> Option<u64> {
    let start = field
        .iter()
        .position(|&byte| byte != b' ')
        .unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'7'))
        .unwrap_or(digits.len());
    let (digits, behind) = digits.split_at(end);
    if !behind.iter().all(|byte| matches!(byte, 0 | b' ')) || (digits.is_empty() && !may_be_blank) {
        return None;
    }
    // At most 12 digits: 36 bits.
    Some(
        digits
            .iter()
            .fold(0, |number, digit| (number << 3) | u64::from(digit - b'0')),
    )
}
