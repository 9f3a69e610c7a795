"""F10: hostile archives, made here, and what other programs see in them: whoever disagrees must not be let in."""

import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

from ground import args, fail, result
from kit import Fault, Kit, Skip, tail

GO = '''package main
import ("archive/tar"; "encoding/json"; "io"; "os")
type entry struct { Name []byte; Size int64; Type string }
func main() {
	for _, path := range os.Args[1:] {
		out := struct { Path string; Entries []entry; Error string }{Path: path, Entries: []entry{}}
		file, _ := os.Open(path)
		reader := tar.NewReader(file)
		for {
			header, err := reader.Next()
			if err == io.EOF { break }
			if err != nil { out.Error = err.Error(); break }
			if header.Typeflag == tar.TypeXGlobalHeader { continue }
			kind := "other"
			if header.Typeflag == tar.TypeReg { kind = "file" } else if header.Typeflag == tar.TypeDir { kind = "folder" }
			out.Entries = append(out.Entries, entry{[]byte(header.Name), header.Size, kind})
			if len(out.Entries) > 1000 { break }
			if n, err := io.Copy(io.Discard, reader); err != nil || n != header.Size { out.Error = "content"; break }
		}
		file.Close()
		json.NewEncoder(os.Stdout).Encode(out)
	}
}
'''


# --- archives ---


def header(name, size=0, kind=b"0", mode=b"0000644", link=b"", prefix=b"", magic=b"ustar\x0000", size_field=None, check=True):
    name = name if isinstance(name, bytes) else name.encode()
    block = bytearray(512)

    def put(at, text, length):
        block[at:at + min(length, len(text))] = text[:length]

    put(0, name, 100)
    put(100, mode, 8)
    put(108, b"0001750", 8)
    put(116, b"0000000", 8)
    put(124, size_field if size_field is not None else b"%011o" % size, 12)
    put(136, b"00000000000", 12)
    block[156:157] = kind
    put(157, link, 100)
    put(257, magic, 8)
    put(345, prefix, 155)
    put(148, b" " * 8, 8)
    total = sum(block) + (0 if check else 1)
    put(148, b"%06o\0 " % total, 8)
    return bytes(block)


def padded(content):
    return content + bytes(-len(content) % 512)


def entry(name, content=b"x", **more):
    return header(name, len(content), **more) + padded(content)


def special(kind, content, name="./PaxHeaders/x"):
    return header(name, len(content), kind=kind) + padded(content)


def record(key, value):
    key, value = (it if isinstance(it, bytes) else it.encode() for it in (key, value))
    length = len(key) + len(value) + 3
    while len(str(length)) + len(key) + len(value) + 3 != length:
        length = len(str(length)) + len(key) + len(value) + 3
    return str(length).encode() + b" " + key + b"=" + value + b"\n"


def pax(content, **records):
    return special(b"x", b"".join(record(key.replace("_", "."), value) for key, value in records.items())) + content


END = bytes(1024)
MODEL = entry("model.bin", b"weights")


def archives():
    """Name, bytes, and whether it must be refused (`None`: may be)."""
    inner = entry("smuggled", b"inner")
    yes = {
        "dots": entry("../x"), "dots inside": entry("a/../../x"), "absolute": entry("/tmp/kit-outside"),
        "dots at the end": entry("a/.."), "prefix with dots": entry("x", prefix=b"../.."),
        "absolute prefix": entry("x", prefix=b"/tmp"), "pax path with dots": pax(entry("x"), path="../x"),
        "pax absolute": pax(entry("x"), path="/tmp/kit-outside"),
        "two pax paths": special(b"x", record("path", "a") + record("path", "b")) + entry("c"),
        "two pax sizes": special(b"x", record("size", "1") + record("size", "512")) + entry("c"),
        "pax size smaller": pax(entry("x", inner), size="1"),
        "pax global path": special(b"g", record("path", "x")) + entry("c"),
        "pax global size": special(b"g", record("size", "1024")) + entry("c", inner),
        "pax without length": special(b"x", b"path=x\n") + entry("c"),
        "pax length too long": special(b"x", b"99 path=x\n") + entry("c"),
        "pax length zero": special(b"x", b"0 path=x\n") + entry("c"),
        "pax not ended": special(b"x", b"9 path=xy") + entry("c"),
        "pax negative size": pax(entry("x"), size="-1"), "pax size no number": pax(entry("x"), size="1e3"),
        "pax NUL in the path": pax(entry("x"), path="a\0b"),
        "two pax headers": special(b"x", record("path", "a")) + special(b"x", record("path", "b")) + entry("c"),
        "symlink": header("l", kind=b"2", link=b"/etc/passwd"), "symlink inside": header("l", kind=b"2", link=b"model.bin"),
        "symlink and file through it": header("l", kind=b"2", link=b"..") + entry("l/x"),
        "symlink chain": header("a", kind=b"2", link=b"b/..") + header("b", kind=b"2", link=b"a") + entry("a/x"),
        "hard link": header("h", kind=b"1", link=b"/etc/passwd"), "hard link inside": header("h", kind=b"1", link=b"model.bin"),
        "hard link with content": header("h", 7, kind=b"1", link=b"model.bin") + padded(b"weights"),
        "character device": header("d", kind=b"3"), "block device": header("d", kind=b"4"), "fifo": header("f", kind=b"6"),
        "contiguous": header("c", 0, kind=b"7"), "unknown type": header("u", kind=b"Z"), "solaris": header("u", kind=b"X"),
        "gnu sparse": header("s", 0, kind=b"S"), "multi volume": header("m", kind=b"M"), "volume name": header("v", kind=b"V"),
        "pax sparse 0.1": pax(entry("s"), GNU_sparse_major="0", GNU_sparse_minor="1", GNU_sparse_size="100", GNU_sparse_map="0,1"),
        "pax sparse 1.0": pax(entry("s", b"1\n0\n1\n" + bytes(506) + b"x"), GNU_sparse_major="1", GNU_sparse_minor="0",
                              GNU_sparse_name="t", GNU_sparse_realsize="1000000000000"),
        "dump of a folder": header("D/", 0, kind=b"D"),
        "file then child": entry("f") + entry("f/child"), "child then file": entry("f/child") + entry("f"),
        "folder then file": header("f/", kind=b"5") + entry("f"), "twice": entry("t", b"1") + entry("t", b"2"),
        "NUL in the name": pax(entry("x"), path=b"a\0b"), "empty name": entry(""), "dot": entry("."),
        "component of 256": pax(entry("x"), path="a" * 256), "path of 5000": pax(entry("x"), path="a/" * 2500 + "b"),
        "2000 components": pax(entry("x"), path="a/" * 2000 + "b"),
        "pax of 2 MiB": special(b"x", record("comment", "c" * (2 << 20))) + entry("x"),
        "long name of 2 MiB": special(b"L", b"n" * (2 << 20), "././@LongLink") + entry("x"),
        "long name with dots": special(b"L", b"../x\0", "././@LongLink") + entry("x"),
        "long link": special(b"K", b"x\0", "././@LongLink") + entry("x"),
        "negative size": header("n", size_field=b"\xff" * 12) + padded(b""),
        "size of 2^63": header("n", size_field=b"\x80\0\0\0" + (1 << 63).to_bytes(8, "big")),
        "size no octal": header("n", size_field=b"9zz        \0"), "size beyond the end": header("n", 1 << 30) + padded(b"x"),
        "cut in the file": None, "wrong checksum": header("w", check=False), "junk header": b"\xa5" * 512,
        "no end": None, "half an end": None, "junk after the end": None, "second archive after the end": None,
        "Kitfile": entry("Kitfile", b"manifestVersion: 1.0.0\n"),
        "binary pax path": pax(entry("x"), path=b"\xff/../../x"),
        "folder with content": header("d/", 512, kind=b"5") + padded(b"x" * 512), "no blocks at all": None,
        "symlink with content": header("l", 512, kind=b"2", link=b"x") + entry("in-link")[:512],
    }
    for name, content in yes.items():
        if content is not None:
            yield name, content + MODEL + END, True
    yield "cut in the file", MODEL + entry("big", b"x" * 2000)[:1500], True
    yield "pax at the end", MODEL + special(b"x", record("path", "x")) + END, True
    yield "long name at the end", MODEL + special(b"L", b"x\0", "././@LongLink") + END, True
    yield "no end", MODEL, True
    yield "half an end", MODEL + bytes(512), None
    yield "junk after the end", MODEL + END + b"\xa5" * 512, True
    yield "second archive after the end", MODEL + END + entry("second") + END, True
    yield "no blocks at all", b"", None
    # Whatever else there is must be seen by all in the same way, if it is taken.
    may = {
        "plain": b"", "folder": header("d/", kind=b"5") + entry("d/x"), "no parents": entry("a/b/c"), "dots in a name": entry("weights..v2.bin"),
        "pax size larger": pax(header("x", 0) + padded(b"y" * 7), size="7"), "old format": entry("x", magic=b"\0" * 8),
        "gnu format": entry("x", magic=b"ustar  \0"), "old file type": entry("x", kind=b"\0"), "old folder": header("d/", kind=b"\0"),
        "setuid": entry("s", mode=b"0006755"), "mode of none": entry("m", mode=b"0000000"), "odd mode": entry("m", mode=b"7777777"),
        "global comment": special(b"g", record("comment", "x")) + entry("x"), "pax name": pax(entry("x"), path="longer"),
        "long name": special(b"L", b"n" * 150 + b"\0", "././@LongLink") + entry("x"), "dot slash": entry("./x"), "two slashes": entry("a//b"),
        "base 256": header("b", size_field=b"\x80" + (1).to_bytes(11, "big")) + padded(b"z"), "no text": entry(b"\xff\xfe"),
        "new line": entry("a\nb"), "escape": entry("a\x1b[2Jb"), "both cases": entry("File") + entry("file"), "ß": entry("ß") + entry("ss"),
        "spaces in the size": header("s", size_field=b"         1 \0") + padded(b"x"), "windows": entry("CON") + entry("a:b") + entry("c\\d"),
        "prefix": entry("x", prefix=b"some/where"), "empty size": header("e", size_field=bytes(12)), "pax atime": pax(entry("x"), atime="1.5"),
        "hdrcharset": pax(entry("x"), hdrcharset="BINARY", path="y"), "pax empty path": pax(entry("x"), path=""),
        "pax empty size": pax(entry("x"), size=""),
    }
    for name, content in may.items():
        yield name, content + MODEL + END, None


# --- kits of them ---


def layout(folder, layers):
    """Writes an OCI layout with one kit for each layer: `name: (bytes, media type)`."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def put(content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    manifests = []
    for name, (content, kind, plain) in layers.items():
        layer = put(content)
        told = {"digest": layer["digest"], "diffId": f"sha256:{hashlib.sha256(plain).hexdigest()}"}
        config = {"manifestVersion": "1.0.0", "package": {"name": "hostile"}, "model": {"path": "model.bin", "layerInfo": told}}
        manifest = {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.kitops.modelkit.config.v1+json", **put(json.dumps(config).encode())},
            "layers": [{"mediaType": kind, **layer}],
        }
        manifests.append({"mediaType": manifest["mediaType"], **put(json.dumps(manifest).encode()),
                          "annotations": {"org.opencontainers.image.ref.name": f"hostile:{name}"}})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))


def forms(content):
    """As it is, and in the full set packed, which is read in another way."""
    return [("", content), (" in gzip", gzip.compress(content, 1, mtime=0))] if args.full else [("", content)]


def tag(number):
    return f"t{number}"


def run():
    work = args.work / "hostile"
    work.mkdir(parents=True)
    all_of = [(f"{name}{suffix}", content, packed, refused) for name, content, refused in archives()
              for suffix, packed in forms(content)]
    whole = gzip.compress(MODEL + END, mtime=0)
    for name, packed in {"junk after": whole + b"junk", "no trailer": whole[:-8],
                         "wrong length": whole[:-1] + b"\x01", "wrong sum": whole[:-5] + b"\x01" + whole[-4:], "no gzip": MODEL + END}.items():
        all_of.append((f"gzip: {name}", MODEL + END, packed, True))
    kind = "application/vnd.kitops.modelkit.model.v1.tar"
    layers = {tag(number): (packed, kind + ("+gzip" if packed is not content else ""), content)
              for number, (_, content, packed, _) in enumerate(all_of)}
    layers[tag(len(all_of) - 1)] = (MODEL + END, kind + "+gzip", MODEL + END)
    layout(work / "layout", layers)
    kit = Kit(args.kit, work / "home")
    results = [result("F10", "unpack"), result("F10", "differential: Python"), result("F10", "differential: Go")]
    outside = work / "outside"
    (outside / "deep").mkdir(parents=True)
    before = around(outside)
    taken = {}
    for number, (name, content, _, refused) in enumerate(all_of):
        out = outside / "deep" / "out"
        shutil.rmtree(out, ignore_errors=True)
        results[0]["runs"] += 1
        try:
            code, _, said = kit.attempt("load", f"{work / 'layout'}:hostile:{tag(number)}", "-t", f"hostile:{tag(number)}")
            if code == 0:
                code, _, said = kit.attempt("unpack", f"hostile:{tag(number)}", "-d", out)
            results[0]["faults"] += code != 0
            if code not in (0, 1, 4, 5, 9):
                raise Fault("other", f"ended with {code}: {tail(said)}")
            if code == 0 and refused:
                raise Fault("damage", "was taken")
            found = listing(out) if out.exists() else {}
            shutil.rmtree(out, ignore_errors=True)
            if around(outside) != before or pathlib.Path("/tmp/kit-outside").exists():
                before = around(outside)
                raise Fault("outside", "wrote outside of the target")
            if code and found:
                raise Fault("damage", f"was refused and left {sorted(found)[:5]}")
            if code == 0:
                taken[name] = (content, found)
        except Fault as fault:
            fail(results[0], fault, name)
    compared(results[1], taken, python)
    try:
        compared(results[2], taken, lambda archives: go(work, archives))
    except Skip as why:
        args.skip("F10 Go", why)
    args.say(f"  F10: {results[0]['runs']} archives, {len(taken)} of them taken")
    shutil.rmtree(work)
    return results


def around(outside):
    """What lies about the target, which is gone by now."""
    return {str(path): path.is_file() and path.read_bytes() for path in outside.rglob("*")}


def listing(out):
    """Names and sizes of what was unpacked, but for the Kitfile, and folders that are empty."""
    return {str(path.relative_to(out)): path.stat().st_size for path in out.rglob("*") if path.is_file() and path != out / "Kitfile"}


def compared(one, taken, reader):
    """What was taken is what another program sees in it."""
    seen = reader({name: content for name, (content, _) in taken.items() if " in gzip" not in name})
    for name, other in seen.items():
        one["runs"] += 1
        mine = taken[name][1]
        if other != mine:
            fail(one, Fault("damage", f"unpacked {mine}, another program sees {other}"), name)


def normal(name):
    return str(pathlib.PurePosixPath(name))


def python(archives):
    seen = {}
    for name, content in archives.items():
        try:
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
                members = archive.getmembers()
            seen[name] = {normal(it.name): it.size for it in members if it.isfile()}
            if other := [it.name for it in members if not it.isfile() and not it.isdir()]:
                seen[name] |= {f"special: {it}": 0 for it in other}
        except (tarfile.TarError, ValueError, OverflowError) as error:
            seen[name] = {} if not content else f"error: {error}"
    return seen


def go(work, archives):
    if not shutil.which("go"):
        raise Skip("go is not installed")
    folder = work / "go"
    folder.mkdir()
    (folder / "main.go").write_text(GO)
    (folder / "go.mod").write_text("module list\n\ngo 1.20\n")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(folder / "cache")}
    built = subprocess.run(["go", "build", "-o", "list", "."], cwd=folder, env=environment, capture_output=True)
    if built.returncode:
        raise Skip(f"go build: {tail(built.stderr)}")
    paths = {}
    for number, (name, content) in enumerate(archives.items()):
        path = folder / f"{number}.tar"
        path.write_bytes(content)
        paths[str(path)] = name
    out = subprocess.run([folder / "list", *paths], capture_output=True, check=True).stdout
    seen = {}
    for line in out.splitlines():
        told = json.loads(line)
        entries = {}
        for it in told["Entries"]:
            name = base64.b64decode(it["Name"]).decode(errors="surrogateescape")
            if it["Type"] != "folder":
                entries[normal(name) if it["Type"] == "file" else f"special: {name}"] = it["Size"]
        seen[paths[told["Path"]]] = f"error: {told['Error']}" if told["Error"] else entries
    return seen
