"""A file system that forgets what was not synced: a recorded run, replayed up to a power cut.

The calls of a run are recorded by strace and done again on a model of the home. A cut after any of
them leaves of each file what was synced, and of what was written since nothing, all, or a part in
any order; of each folder the names that were synced, and of the changes since any of them, in
whatever order they were made. That is more than most file systems lose, and what all may.
"""

import os
import re

CALLS = ("openat,?openat2,?open,?creat,close,?dup,?dup2,dup3,fcntl,write,pwrite64,writev,lseek,ftruncate,?fallocate,"
         "copy_file_range,?sendfile,?rename,renameat,renameat2,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,?link,linkat,"
         "fsync,fdatasync,syncfs")
LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Broken(Exception):
    """A call that this model does not know."""


class File:
    def __init__(self, content=b""):
        self.now, self.synced, self.since = bytearray(content), bytes(content), []

    def write(self, at, data):
        self.change(("write", at, data))

    def change(self, change):
        apply(self.now, change)
        self.since.append(change)

    def sync(self):
        self.synced, self.since = bytes(self.now), []

    def left(self, noise):
        """What a cut leaves of it."""
        content = bytearray(self.synced)
        way = noise.randrange(4)
        for change in self.since:
            if way == 1 or (way == 2 and noise.random() < 0.5):
                apply(content, change)
            elif way == 3:  # long enough, but nothing in it
                kind, at, data = change
                apply(content, change if kind == "size" else ("write", at, bytes(len(data))))
        return bytes(content)


def apply(content, change):
    kind, at, data = change
    if kind == "size":
        del content[at:]
        content.extend(bytes(at - len(content)))
    else:
        content.extend(bytes(max(0, at - len(content))))
        content[at:at + len(data)] = data


class Folder:
    def __init__(self):
        self.now, self.synced, self.since = {}, {}, []


class Model:
    """A folder tree, and the open files of one process."""

    deaf = False  # whether no sync is heard: whatever is promised by syncing must then be broken

    def __init__(self, root):
        self.root, self.top = str(root), Folder()
        self.open = {}  # number: [file or folder, position, appends]
        for at, folders, files in os.walk(root):
            here = self.find(at)
            for name in folders:
                here.now[name] = Folder()
            for name in files:
                with open(os.path.join(at, name), "rb") as file:
                    here.now[name] = File(file.read())
        self.sync_all(self.top)

    def sync_all(self, item):
        if isinstance(item, File):
            item.sync()
            return
        item.synced, item.since = dict(item.now), []
        for inner in item.now.values():
            self.sync_all(inner)

    def place(self, path, base=None):
        """The folder a path leads to, and the name in it; `None` outside of the tree."""
        if path.startswith("/"):
            if path != self.root and not path.startswith(self.root + "/"):
                return None
            path, base = path[len(self.root):], self.top
        elif base is None or isinstance(base, File):
            return None
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise Broken(path)
        for part in parts[:-1]:
            base = base.now.get(part)
            if not isinstance(base, Folder):
                return None
        return base, parts[-1] if parts else None

    def find(self, path, base=None):
        found = self.place(path, base)
        if not found:
            return None
        folder, name = found
        return folder if name is None else folder.now.get(name)

    @staticmethod
    def rename(changes):
        """Changes names, all at once: `(folder, name, what is there now)`."""
        step = []
        for folder, name, item in changes:
            if item is None:
                folder.now.pop(name, None)
            else:
                folder.now[name] = item
            step.append((folder, name, item))
        for folder in {id(folder): folder for folder, _, _ in changes}.values():
            folder.since.append(step)

    def folder_sync(self, folder):
        for step in folder.since:
            for where, name, item in step:
                if item is None:
                    where.synced.pop(name, None)
                else:
                    where.synced[name] = item
                if where is not folder:
                    # What came before must not come after it.
                    for earlier in where.since[:where.since.index(step)]:
                        earlier[:] = [it for it in earlier if it[0] is not where or it[1] != name]
                    where.since.remove(step)
        folder.since = []

    def left(self, to, noise):
        """Writes what a cut leaves to the folder `to`."""
        kept = {}

        def names(folder):
            there = dict(folder.synced)
            for step in folder.since:
                if kept.setdefault(id(step), noise.random() < 0.5):
                    for where, name, item in step:
                        if where is folder:
                            there.pop(name, None) if item is None else there.__setitem__(name, item)
            return there

        def write(folder, path):
            path.mkdir(parents=True)
            for name, item in names(folder).items():
                if isinstance(item, Folder):
                    write(item, path / name)
                else:
                    (path / name).write_bytes(item.left(noise))

        write(self.top, to)

    def differs(self):
        """Where the model is not what is really there; `None` if it is the same."""
        real = Model(self.root)

        def compare(mine, theirs, path):
            if isinstance(mine, File) or isinstance(theirs, File):
                same = type(mine) is type(theirs) and mine.now == theirs.now
                return None if same else path
            for name in mine.now.keys() | theirs.now.keys():
                if name not in mine.now or name not in theirs.now:
                    return f"{path}/{name}"
                if found := compare(mine.now[name], theirs.now[name], f"{path}/{name}"):
                    return found
            return None

        return compare(self.top, real.top, "")

    # --- calls ---

    def do(self, call, text, returned):
        """Does one call that succeeded."""
        texts = [bytes.fromhex(found.replace("\\x", "")) for found in TEXT.findall(text)]
        rest = [word.strip() for word in TEXT.sub('""', text).split(",")]
        paths = [os.fsdecode(it) for it in texts]
        entry = self.open.get(int(rest[0])) if rest[0].isdigit() else None
        base = entry[0] if entry else None
        if call in ("openat", "openat2", "open", "creat"):
            self.opened(paths[0], None if call in ("open", "creat") else base, text, returned, call)
        elif call == "close":
            self.open.pop(int(rest[0]), None)
        elif call in ("dup", "dup2", "dup3") or (call == "fcntl" and "F_DUPFD" in text):
            self.open.pop(returned, None)
            if entry:
                self.open[returned] = entry
        elif call in ("mkdir", "mkdirat"):
            if at := self.place(paths[0], base):
                self.rename([(*at, Folder())])
        elif call in ("unlink", "unlinkat", "rmdir"):
            if at := self.place(paths[0], base):
                self.rename([(*at, None)])
        elif call in ("rename", "renameat", "renameat2", "link", "linkat"):
            self.moved(call, rest, paths)
        elif call in ("fsync", "fdatasync", "syncfs") and self.deaf:
            pass
        elif call == "syncfs":
            self.sync_all(self.top)
        elif entry:
            self.written(call, rest, texts, entry, returned)

    def opened(self, path, base, text, returned, call):
        self.open.pop(returned, None)
        at = self.place(path, base)
        if not at:
            return
        folder, name = at
        item = folder if name is None else folder.now.get(name)
        if item is None and ("O_CREAT" in text or call == "creat"):
            item = File()
            self.rename([(folder, name, item)])
        if item is None:
            return
        if isinstance(item, File) and ("O_TRUNC" in text or call == "creat") and item.now:
            item.change(("size", 0, None))
        self.open[returned] = [item, 0, "O_APPEND" in text]

    def moved(self, call, rest, paths):
        bases = [None, None]
        if call.endswith(("at", "at2")):
            numbers = [rest[0], rest[2]]
            bases = [self.open[int(it)][0] if it.isdigit() and int(it) in self.open else None for it in numbers]
        source, target = self.place(paths[0], bases[0]), self.place(paths[1], bases[1])
        if source and target:
            item = source[0].now[source[1]]
            self.rename([*([] if "link" in call else [(*source, None)]), (*target, item)])
        elif source or target:
            raise Broken("a rename over the border")

    def written(self, call, rest, texts, entry, returned):
        item, position, appends = entry
        if call in ("fsync", "fdatasync"):
            item.sync() if isinstance(item, File) else self.folder_sync(item)
        elif call == "lseek":
            entry[1] = returned
        elif isinstance(item, Folder):
            return
        elif call in ("write", "writev"):
            data = b"".join(texts)[:returned]
            at = len(item.now) if appends else position
            item.write(at, data)
            entry[1] = at + returned
        elif call == "pwrite64":
            item.write(int(rest[-1]), texts[0][:returned])
        elif call == "ftruncate":
            item.change(("size", int(rest[1]), None))
        elif call == "fallocate":
            if "KEEP_SIZE" not in rest[1] and int(rest[2]) + int(rest[3]) > len(item.now):
                item.change(("size", int(rest[2]) + int(rest[3]), None))
        elif call in ("copy_file_range", "sendfile"):
            raise Broken(call)


def calls(log):
    """The calls of a log that succeeded, in the order in which they ended."""
    begun = {}
    for line in log.read_text().splitlines():
        number, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[number] = rest.removesuffix("<unfinished ...>").rstrip()
            continue
        if rest.startswith("<..."):
            rest = begun.pop(number) + rest.partition("resumed>")[2]
        found = LINE.match(f"{number} {rest}")
        if found and int(found[4]) >= 0:
            yield found[2], found[3], int(found[4])
