//! PAX extended headers: the few records that mean something here, read strictly.

use std::collections::BTreeSet;

/// What a PAX header says about the entry behind it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

/// Reads the body of an extended header of one entry.
pub(super) fn parse(body: &[u8]) -> Result<Records, String> {
    let mut records = Records::default();
    for_each(body, |key, value| {
        match key {
            b"path" if value.is_empty() => return Err("an empty PAX path".to_owned()),
            b"path" => records.path = Some(value.to_owned()),
            b"size" => records.size = Some(size(value)?),
            // The owner, the times and remarks: not kept.
            b"mtime" | b"atime" | b"ctime" | b"uid" | b"gid" | b"uname" | b"gname" | b"comment"
            | b"hdrcharset" => {}
            _ if is_vendor(key) => {}
            _ => return Err(unexpected(key)),
        }
        Ok(())
    })?;
    Ok(records)
}

/// Reads the body of a global header, of which nothing may matter.
pub(super) fn check_global(body: &[u8]) -> Result<(), String> {
    for_each(body, |key, _| match key {
        b"path" | b"size" | b"linkpath" => Err(format!(
            "a global PAX record `{}`",
            String::from_utf8_lossy(key)
        )),
        _ if key.contains(&b'.') && !is_vendor(key) => Err(unexpected(key)),
        _ => Ok(()),
    })
}

/// Tells whether `key` is some vendor's own and does not change what the content is: sparse
/// files do.
fn is_vendor(key: &[u8]) -> bool {
    let vendor = key.iter().position(|&byte| byte == b'.');
    vendor.is_some_and(|dot| dot > 0 && key[..dot].iter().all(u8::is_ascii_uppercase))
        && !key.starts_with(b"GNU.sparse.")
        && key != b"SCHILY.realsize"
        && key != b"SUN.holesdata"
}

fn unexpected(key: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&key[..key.len().min(100)]);
    format!("a PAX record `{shown}` that is not supported")
}

fn size(value: &[u8]) -> Result<u64, String> {
    decimal(value)
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(|| "a PAX size that is not a number".to_owned())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Calls `take` for each record `<length> <key>=<value>\n`, and refuses repeated keys: readers
/// differ in which of two they believe.
fn for_each(
    body: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let malformed = || "a malformed PAX record".to_owned();
    let mut seen = BTreeSet::new();
    let mut rest = body;
    while !rest.is_empty() {
        let space = rest
            .iter()
            .take(8)
            .position(|&byte| byte == b' ')
            .ok_or_else(malformed)?;
        let length = decimal(&rest[..space]).ok_or_else(malformed)?;
        let length = usize::try_from(length).map_err(|_| malformed())?;
        if rest[0] == b'0' || length <= space || length > rest.len() {
            return Err(malformed());
        }
        let (record, behind) = rest.split_at(length);
        let record = record[space + 1..]
            .strip_suffix(b"\n")
            .ok_or_else(malformed)?;
        let equals = record
            .iter()
            .position(|&byte| byte == b'=')
            .filter(|&equals| equals > 0)
            .ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.contains(&0) {
            return Err(malformed());
        }
        if !seen.insert(key) {
            return Err(format!(
                "two PAX records `{}`",
                String::from_utf8_lossy(&key[..key.len().min(100)])
            ));
        }
        take(key, value)?;
        rest = behind;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_matter_are_read_and_others_passed_over() {
        let body = b"12 path=a b\n11 size=42\n18 VENDOR.x=a\nb=c\n14 mtime=1.25\n";
        let expected = Records {
            path: Some(b"a b".to_vec()),
            size: Some(42),
        };
        assert_eq!(parse(body), Ok(expected));
        assert_eq!(parse(b""), Ok(Records::default()));
        assert_eq!(check_global(b"14 comment=ab\n"), Ok(()));
    }

    // hazard: 4, 7, 12, 30
    #[test]
    fn malformed_repeated_and_sparse_records_are_refused() {
        for body in [
            &b"9 path=a\n9 path=b\n"[..],
            b"9 path=ab",
            b"11 path=a\n",
            b"8 path=a\n",
            b"09 path=a\n",
            b"-9 path=a\n",
            b"path=a\n",
            b"0 ",
            b"1 ",
            b"2 \n",
            b"5 =a\n",
            b"5 ab\n",
            b"8 path=\n",
            b"11 size=-1\n",
            b"8 size=\n",
            b"28 size=9223372036854775808\n",
            b"99999999999999999999 path=a\n",
            b"22 GNU.sparse.major=1\n",
            b"13 linkpath=\n",
            b"12 unknown=\n",
        ] {
            assert!(parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        assert!(check_global(b"9 path=a\n").is_err());
        assert!(check_global(b"9 size=1\n").is_err());
        assert!(check_global(b"22 GNU.sparse.major=1\n").is_err());
    }
}
