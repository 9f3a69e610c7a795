use std::{fs, path::Path};

use super::{Bundle, Error, Writer};
use crate::{
    archive::header::{self, END, Kind},
    limits::Limits,
};

fn fill(mut writer: Writer) -> Result<(), Error> {
    writer.add("oci-layout", 2, &mut &b"{}"[..])?;
    writer.add("blobs/sha256/00", 600, &mut &[7; 600][..])?;
    writer.add("blobs/sha256/01", 0, &mut &b""[..])?;
    writer.finish()
}

#[test]
fn what_is_written_is_read_back_from_a_folder_and_a_tar_file() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, tar) = (dir.path().join("f"), dir.path().join("t.tar"));
    fill(Writer::folder(&folder).unwrap()).unwrap();
    fill(Writer::tar(&tar).unwrap()).unwrap();
    for path in [&folder, &tar] {
        let bundle = Bundle::open(path, &Limits::default()).unwrap();
        assert_eq!(bundle.read("oci-layout", 10).unwrap().unwrap(), b"{}");
        assert_eq!(
            bundle.read("blobs/sha256/00", 600).unwrap().unwrap(),
            [7; 600]
        );
        assert_eq!(bundle.read("blobs/sha256/01", 0).unwrap().unwrap(), b"");
        assert!(bundle.read("blobs/sha256/00", 599).is_err());
        assert!(bundle.file("absent").unwrap().is_none());
    }
    let first = fs::read(&tar).unwrap();
    fill(Writer::tar(&tar).unwrap()).unwrap();
    assert_eq!(fs::read(&tar).unwrap(), first);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert!(matches!(Writer::folder(&folder), Err(Error::NotEmpty(_))));
}

#[test]
fn content_of_another_length_is_refused_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for content in [&b"a"[..], b"abc"] {
        let mut writer = Writer::folder(&dir.path().join("f")).unwrap();
        writer.add("blobs/x", 1, &mut &b"x"[..]).unwrap();
        assert!(writer.add("y", 2, &mut &content[..]).is_err());
        drop(writer);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut writer = Writer::tar(&dir.path().join("t.tar")).unwrap();
        let error = writer.add("x", 2, &mut &content[..]).unwrap_err();
        assert_eq!(error.to_string(), "cannot copy `x`");
        drop(writer);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_tar_file_that_says_two_things_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tar");
    let mut bytes = Vec::new();
    for _ in 0..2 {
        header::append(&mut bytes, b"x", 0o644, Kind::File(0));
    }
    bytes.resize(bytes.len() + END, 0);
    fs::write(&path, &bytes).unwrap();
    let error = Bundle::open(&path, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("`x` is in it twice"), "{error}");

    bytes.clear();
    header::append(&mut bytes, b"x", 0o644, Kind::File(4096));
    fs::write(&path, &bytes).unwrap();
    let error = Bundle::open(&path, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cut off") || error.contains("EOF"),
        "{error}"
    );

    fs::write(&path, b"\x1f\x8b\x08").unwrap();
    let error = Bundle::open(&path, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("compressed with gzip"), "{error}");

    fs::write(&path, b"not a tar file").unwrap();
    assert!(Bundle::open(&path, &Limits::default()).is_err());
}

#[cfg(unix)]
#[test]
fn a_link_is_written_through_and_a_device_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("real.tar"), dir.path().join("link.tar"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("real.tar", &link).unwrap();
    fill(Writer::tar(&link).unwrap()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(Bundle::open(&file, &Limits::default()).is_ok());

    fill(Writer::tar(Path::new("/dev/null")).unwrap()).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    assert!(matches!(
        Bundle::open(Path::new("/dev/null"), &Limits::default()),
        Err(Error::NotAFile(_))
    ));
}
