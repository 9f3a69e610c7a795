//! Numbers as they stand in a table.

use super::{Error, error::Part};

/// Appends `value`, seven bits a byte, the lowest first; all bytes but the last have the highest
/// bit set.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// What is left to be read of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'b> {
    part: Part,
    all: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) const fn new(part: Part, all: &'b [u8]) -> Self {
        Self { part, all, at: 0 }
    }

    pub(super) const fn left(&self) -> usize {
        self.all.len() - self.at
    }

    /// Returns the error that says so of this place.
    pub(super) const fn malformed(&self, problem: &'static str) -> Error {
        Error::Malformed {
            part: self.part,
            at: self.at,
            problem,
        }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'b [u8], Error> {
        if count > self.left() {
            return Err(self.malformed("it ends in the middle"));
        }
        let bytes = &self.all[self.at..self.at + count];
        self.at += count;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("as many bytes were cut out"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, Error> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit, and there is one way to write a number.
            if shift == 63 && bits > 1 || shift > 63 || byte == 0 && shift > 0 {
                return Err(self.malformed("a number is not written as it should be"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_one_way_and_comes_back() {
        for value in [
            0,
            1,
            0x7f,
            0x80,
            0x3fff,
            0x4000,
            1 << 35,
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let mut reader = Reader::new(Part::Table, &bytes);
            assert_eq!(reader.number(), Ok(value));
            assert_eq!(reader.left(), 0);
        }
        for bad in [
            &[][..],
            &[0x80],
            &[0x80, 0],
            &[0xff, 0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0,
            ],
        ] {
            assert!(Reader::new(Part::Table, bad).number().is_err(), "{bad:?}");
        }
    }
}
