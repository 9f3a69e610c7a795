"""F11: every shape that a manifest may have, to a registry and back: whole, or refused by name."""

import base64
import hashlib
import http.client
import io
import json
import shutil
import tarfile

from ground import args, fail, result
from kit import Fault, Kit, tail
from server import Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.kitops.modelkit.config.v1+json"
MODEL = "application/vnd.kitops.modelkit.model.v1.tar"
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(), "size": 2}
# Whole, or refused: the registry's reasons, the program's limits, not understood, not there.
CODES = (0, 1, 3, 5, 6, 9)


class Made:
    """Blobs and a manifest of them."""

    def __init__(self):
        self.blobs = {}

    def put(self, content, kind, algorithm="sha256", **more):
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        self.blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content), **more}

    def layer(self, content=b"weights", name="model.bin", **more):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        return self.put(out.getvalue(), MODEL, **more)

    def config(self, *layers, **more):
        told = [{"digest": it["digest"], "diffId": it["digest"]} for it in layers]
        config = {"manifestVersion": "1.0.0", "package": {"name": "shape"}, **more}
        if told:
            config["model"] = {"path": "model.bin", "layerInfo": told[0]}
        return self.put(json.dumps(config).encode(), CONFIG)

    def manifest(self, *layers, config=None, **more):
        it = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config or self.config(*layers), "layers": list(layers)}
        return json.dumps({**it, **more}).encode()


def shapes():
    """Name, and what makes it: `Made` to the bytes and type of a manifest, and whether it is a kit that must work."""

    def of(make, must=None, kind=MANIFEST):
        return make, kind, must

    def nested(made):
        inner = made.manifest(made.layer())
        one = made.put(inner, MANIFEST)
        middle = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]}).encode()
        return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [made.put(middle, INDEX)]}).encode()

    def index(made):
        one = made.put(made.manifest(made.layer()), MANIFEST)
        return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]}).encode()

    def data(made):
        layer = made.layer()
        return made.manifest({**layer, "data": base64.b64encode(made.blobs[layer["digest"]]).decode()}, config=made.config(layer))

    def wrong_data(made):
        layer = made.layer()
        return made.manifest({**layer, "data": base64.b64encode(b"other").decode()}, config=made.config(layer))

    return {
        "plain": of(lambda made: made.manifest(made.layer()), True),
        "sha512 layer": of(lambda made: made.manifest(made.layer(algorithm="sha512")), False),
        "sha512 config": of(lambda made: made.manifest(made.layer(), config=made.put(b"{}", CONFIG, "sha512")), False),
        "empty blob": of(lambda made: made.manifest(made.layer(), made.put(b"", "application/octet-stream"))),
        "empty config": of(lambda made: made.manifest(made.layer(), config=EMPTY if made.put(b"{}", CONFIG) else None)),
        "no layers": of(lambda made: made.manifest()),
        "layers are null": of(lambda made: made.manifest(layers=None) or b""),
        "an index": of(index, None, INDEX), "a nested index": of(nested, None, INDEX),
        "an index and layers": of(lambda made: made.manifest(made.layer(), manifests=[]), False),
        "data": of(data, True), "wrong data": of(wrong_data),
        "custom fields": of(lambda made: made.manifest(made.layer(), **{"x-custom": {"deep": [1, 2.5, None]}, "another": "field"}), True),
        "custom fields of a layer": of(lambda made: made.manifest({**made.layer(), "x-custom": 1}), True),
        "annotations": of(lambda made: made.manifest(made.layer(), annotations={"a": "b", "ünï": "\u202e", "": ""}), None),
        "artifact type": of(lambda made: made.manifest(made.layer(), artifactType="application/x-else"), None),
        "subject": of(lambda made: made.manifest(made.layer(), subject=EMPTY), None),
        "foreign urls": of(lambda made: made.manifest({**made.layer(), "urls": ["http://127.0.0.1:1/x"]}), None),
        "not distributable": of(lambda made: made.manifest({**made.layer(), "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar"})),
        "the same layer 1000 times": of(lambda made: made.manifest(*[made.layer()] * 1000)),
        "manifest of 3.9 MiB": of(lambda made: made.manifest(made.layer(), annotations={"pad": "x" * (39 << 20 // 10)}), None),
        "manifest of just under 4 MiB": of(lambda made: padded(made, (4 << 20) - 1), None),
        "manifest of more than 4 MiB": of(lambda made: padded(made, (4 << 20) + 1), False),
        "wrong size": of(lambda made: made.manifest({**made.layer(), "size": 1}), False),
        "size of 1 EiB": of(lambda made: made.manifest({**made.layer(), "size": 1 << 60}), False),
        "negative size": of(lambda made: made.manifest({**made.layer(), "size": -5}), False),
        "bad digest": of(lambda made: made.manifest({**made.layer(), "digest": "sha256:../../etc"}), False),
        "no media type": of(lambda made: made.manifest(made.layer(), mediaType=None).replace(b'"mediaType": null, ', b""), None),
        "docker manifest": of(lambda made: made.manifest(made.layer(), mediaType="application/vnd.docker.distribution.manifest.v2+json"),
                              None, "application/vnd.docker.distribution.manifest.v2+json"),
        "schema version 1": of(lambda made: made.manifest(made.layer(), schemaVersion=1), False),
        "keys twice": of(lambda made: made.manifest(made.layer()).replace(b"{", b'{"layers": [], ', 1), False),
        "byte order mark": of(lambda made: b"\xef\xbb\xbf" + made.manifest(made.layer()), None),
    }


def padded(made, size):
    text = made.manifest(made.layer(), annotations={"pad": ""})
    return text.replace(b'"pad": ""', b'"pad": "' + b"x" * (size - len(text)) + b'"')


def run():
    work = args.work / "shapes"
    registry = Registry(work / "registry")
    one = result("F11", "docker-registry: there and back", refused_there=0)
    layout = result("F11", "a layout: loaded and given")
    try:
        for number, (name, (make, kind, must)) in enumerate(shapes().items()):
            folder = work / str(number)
            made = Made()
            text = make(made)
            sent(registry, one, folder, name, number, made, text, kind, must)
            loaded(registry, layout, folder, name, number, made, text, kind, must)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        registry.stop()
    args.skip("F11 zot", "only docker-registry is tried here")
    args.say(f"  F11: {one['runs']} shapes, {one['refused_there']} of them refused by the registry")
    return [one, layout]


def ask(registry, method, path, body=b"", **headers):
    connection = http.client.HTTPConnection(registry.host, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer, content


def sent(registry, one, folder, name, number, made, text, kind, must):
    """Puts a shape into the registry by hand, and fetches, gives and copies it by the program."""
    path = f"/v2/shape/s{number}"
    for digest, content in made.blobs.items():
        _, answer, _ = ask(registry, "POST", f"{path}/blobs/uploads/")
        place = answer.getheader("location").split(registry.host, 1)[-1]
        ask(registry, "PUT", f"{place}&digest={digest}", content, content_type="application/octet-stream")
        if kind == INDEX and b'"schemaVersion"' in content:
            ask(registry, "PUT", f"{path}/manifests/{digest}", content, content_type=json.loads(content).get("mediaType"))
    one["runs"] += 1
    status, _, _ = ask(registry, "PUT", f"{path}/manifests/1", text, content_type=kind)
    if status != 201:
        one["refused_there"] += 1
        return
    kit = Kit(args.kit, folder / "home")
    reference = f"{registry.host}/shape/s{number}:1"
    try:
        code = tried(one, kit, name, must, "pull", reference)
        if code == 0:
            unpacked(kit, reference, folder / "out", name, must)
            tried(one, kit, name, must, "push", reference, f"{registry.host}/again/s{number}:1")
            # Of an index the one kit in it is pulled.
            same(registry, f"/v2/again/s{number}", {text, *made.blobs.values()} if kind == INDEX else {text})
        if tried(one, kit, name, None, "copy", reference, f"{registry.host}/copied/s{number}:1") == 0:
            same(registry, f"/v2/copied/s{number}", {text})
        tried(one, kit, name, None, "inspect", reference)
        kit.run("verify", kind="damage")
    except Fault as fault:
        fail(one, fault, name)


def loaded(registry, one, folder, name, number, made, text, kind, must):
    """Loads a shape from a layout."""
    root = folder / "layout"
    for digest, content in {**made.blobs, f"sha256:{hashlib.sha256(text).hexdigest()}": text}.items():
        algorithm, _, value = digest.partition(":")
        (root / "blobs" / algorithm).mkdir(parents=True, exist_ok=True)
        (root / "blobs" / algorithm / value).write_bytes(content)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(text).hexdigest()}", "size": len(text),
             "annotations": {"org.opencontainers.image.ref.name": "shape:1"}}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    kit = Kit(args.kit, folder / "loaded")
    one["runs"] += 1
    try:
        if tried(one, kit, name, must, "load", root) == 0:
            unpacked(kit, "shape:1", folder / "out-loaded", name, must)
            kit.run("verify", kind="damage")
    except Fault as fault:
        fail(one, fault, name)


def tried(one, kit, name, must, *words):
    code, _, said = kit.attempt(*words)
    one["faults"] += code != 0
    if code not in CODES:
        raise Fault("other", f"`kit {words[0]}` ended with {code}: {tail(said)}")
    if must is not None and must != (code == 0):
        raise Fault("damage" if code == 0 else "other", f"`kit {words[0]}` ended with {code}: {tail(said)}")
    return code


def unpacked(kit, reference, out, name, must):
    code, _, said = kit.attempt("unpack", reference, "-d", out)
    if code not in CODES or (must and code):
        raise Fault("other", f"`kit unpack` ended with {code}: {tail(said)}")
    file = out / "model.bin"
    if code == 0 and file.exists() and file.read_bytes() != b"weights":
        raise Fault("damage", "what was unpacked is not what is in the kit")


def same(registry, path, texts):
    """What was given is what was fetched, byte for byte."""
    status, _, content = ask(registry, "GET", f"{path}/manifests/1", accept=f"{MANIFEST}, {INDEX}, */*")
    if status == 200 and content not in texts:
        raise Fault("damage", "the manifest came out of the store as another one")
