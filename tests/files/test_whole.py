"""Files that appear whole or not at all: names, modes, links, crowds, kills, full disks."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from concurrency import in_threads

import hotloop
from hotloop.files import whole
from hotloop.files.whole import remove_leftovers, text_written_whole, written_whole
from hotloop.layers import Dense, Input


def write(path, content=b"new", **options):
    with written_whole(path, **options) as file:
        file.write(content)


def names(folder):
    return sorted(os.listdir(folder))


def test_content_arrives_when_all_is_written(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with written_whole(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    with text_written_whole(path, newline="") as text:
        text.write("ä\n")
    assert path.read_bytes() == "ä\n".encode()
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError, OSError])
@pytest.mark.parametrize("write_with", [written_whole, text_written_whole])
def test_a_failure_leaves_the_old_file(error, write_with, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail():
        with write_with(path) as file:
            file.write(b"part" if write_with is written_whole else "part")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("length", [200, 240, 255])
def test_long_names(length, tmp_path):
    model = hotloop.Sequential([Input((2,)), Dense(1)])
    for name in ("w" * length, "ä" * (length // 2)):
        model.save_weights(tmp_path / name)
        model.load_weights(tmp_path / name)
    with pytest.raises(OSError, match="too long"):
        model.save_weights(tmp_path / ("w" * 256))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_the_mode_of_a_file_that_is_replaced_stays(mode, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


def test_what_is_to_be_secret_is_never_readable(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with written_whole(path):
        [temporary] = set(names(tmp_path)) - {"f"}
        assert stat.S_IMODE((tmp_path / temporary).stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_new_files_obey_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        write(tmp_path / "f")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~umask


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    os.chown(path, 1234, 4321)
    path.chmod(0o640)
    write(path)
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 4321, 0o640)


def test_another_group_gains_no_rights(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o660)

    def refuse(*_):
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    real = os.fstat

    def another_group(descriptor):
        found = list(real(descriptor))
        found[5] += 1
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", another_group)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# ------------------------------------------------------------------------ links, pipes, devices


def test_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    real, link, second = tmp_path / "there" / "real", tmp_path / "link", tmp_path / "second"
    link.symlink_to("there/real")
    second.symlink_to(link)
    for content in (b"one", b"two"):  # of a link to nothing, too
        write(second, content)
        assert real.read_bytes() == content
    assert link.is_symlink()
    assert second.is_symlink()
    assert names(tmp_path) == ["link", "second", "there"]
    assert names(tmp_path / "there") == ["real"]
    with pytest.raises(FileExistsError):
        write(link, overwrite=False)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        write(link)


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    model = hotloop.Sequential([Input((2,)), Dense(1)])
    model.save(pipe)
    reader.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    (tmp_path / "m.hotloop").write_bytes(read[0])
    hotloop.models.load_model(tmp_path / "m.hotloop")


def test_a_device_is_written_to():
    model = hotloop.Sequential([Input((2,)), Dense(1)])
    model.save_weights("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from hotloop.files.whole import written_whole\n"
            "with written_whole('/dev/stdout') as file: file.write(b'whole')",
        ],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"whole"
    with pytest.raises(OSError, match="No space left on device"):
        write("/dev/full", b"x" * 100_000)


# ------------------------------------------------------------------------ what cannot be written


def test_folders(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        write(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        write(tmp_path / "missing" / "f")
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(NotADirectoryError):
        write(tmp_path / "f" / "g")
    with pytest.raises(FileExistsError, match="pass overwrite=True to replace it"):
        write(tmp_path / "f", overwrite=False)
    assert (tmp_path / "f").read_bytes() == b"old"


AS_NOBODY = """
import fcntl, os, sys
from hotloop.files.whole import written_whole
os.setgid(65534)
os.setuid(65534)
for path in sys.argv[1:]:
    try:
        with written_whole(path) as file:
            file.write(b"new")
        print("written")
    except PermissionError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a user who may not write is made from root")
def test_folders_and_files_that_are_read_only(tmp_path):
    folder, kept = tmp_path / "folder", tmp_path / "open" / "kept"
    for one in (folder, kept.parent):
        one.mkdir()
    folder.chmod(0o755)
    kept.parent.chmod(0o777)
    for file in (folder / "f", kept):
        file.write_bytes(b"old")
        file.chmod(0o444)
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_uid == os.geteuid() and above != above.parent:
            above.chmod(above.stat().st_mode | 0o055)
    paths = [folder / "new", folder / "f", kept, kept.parent / "new"]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    new, old, read_only, written = done.stdout.splitlines()
    assert "Permission denied; nothing was written" in new
    assert "folder/new" in new
    assert "read-only; the file is as it was" in old
    assert "read-only; the file is as it was" in read_only
    assert written == "written"
    assert (folder / "f").read_bytes() == kept.read_bytes() == b"old"


def test_a_full_disk(tmp_path):
    """The system's limit on file sizes stands in for it: writing fails in the same way."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys, numpy as np, hotloop\n"
        "from hotloop.layers import Dense, Input\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "model = hotloop.Sequential([Input((200,)), Dense(200)])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "for save in (model.save_weights, model.save):\n"
        "    try:\n"
        "        save(sys.argv[1] if save == model.save_weights else sys.argv[2])\n"
        "    except OSError as error:\n"
        "        print(error)\n"
    )
    other = tmp_path / "m.hotloop"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(other)],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert "File too large; the file is as it was" in first
    assert str(path) in first
    assert "File too large; nothing was written" in second
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["w.safetensors"]


# ------------------------------------------------------------------------ leftovers


KILLED = """
import os, signal, sys
from hotloop.files.whole import written_whole
with written_whole(sys.argv[1]) as file:
    file.write(b"part")
    file.flush()
    print("ready", flush=True)
    {end}
"""


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    code = KILLED.format(end="os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)
    assert len(names(tmp_path)) == 2
    assert path.read_bytes() == b"old"
    write(tmp_path / "other")
    assert names(tmp_path) == ["f", "other"]


def test_what_a_living_writer_has_is_not_removed(tmp_path):
    path = tmp_path / "f"
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(end="sys.stdin.read()"), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout.readline() == b"ready\n"
    [temporary] = names(tmp_path)
    os.utime(tmp_path / temporary, (0, 0))  # however old it looks
    for _ in range(3):
        write(tmp_path / "other")
        remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([temporary, "other"])
    writer.communicate(b"")
    assert writer.returncode == 0
    assert path.read_bytes() == b"part"
    assert names(tmp_path) == ["f", "other"]


def test_files_of_another_machine_are_left_for_a_day(tmp_path):
    other = tmp_path / ".hotloop-00000000-0123456789abcdef.tmp"
    other.write_bytes(b"part")
    write(tmp_path / "f")
    assert other.exists()
    os.utime(other, (time.time() - 90_000,) * 2)
    with other.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_leftovers(tmp_path)
        assert other.exists()
    remove_leftovers(tmp_path)
    assert not other.exists()


def test_other_hidden_files_are_nobodys_leftovers(tmp_path):
    kept = [".hotloop-x.tmp", ".f.123.tmp", ".hotloop-0123abcd-0123456789abcdef.tmp.bak"]
    for name in kept:
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".hotloop-0123abcd-0123456789abcdef.tmp").symlink_to(kept[0])
    remove_leftovers(tmp_path)
    assert len(names(tmp_path)) == 4


def test_a_file_that_was_taken_for_a_leftover_is_made_anew(tmp_path, monkeypatch):
    """Between its making and its lock, another process may remove it."""
    real, raced = whole._lock, []

    def lock(descriptor, *, wait):
        if not raced:
            raced.append(names(tmp_path))
            os.unlink(tmp_path / raced[0][0])
        return real(descriptor, wait=wait)

    monkeypatch.setattr(whole, "_lock", lock)
    write(tmp_path / "f")
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"new"


# ------------------------------------------------------------------------ crowds


def model_of(value):
    model = hotloop.Sequential([Input((30,)), Dense(30)])
    model.set_weights([np.full(w.shape, value) for w in model.weights])
    return model


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "m.hotloop"])
def test_threads_that_save_to_one_path(name, tmp_path):
    path = tmp_path / name
    whole = name.startswith("m")

    def save(value):
        model = model_of(value)
        for _ in range(15):
            (model.save if whole else model.save_weights)(path)

    def read():
        model = model_of(0)
        for _ in range(15):
            model.load_weights(path)
            found = np.concatenate([w.ravel() for w in model.get_weights()])
            assert len(set(found.tolist())) == 1

    first = model_of(0)
    (first.save if whole else first.save_weights)(path)
    in_threads(*[lambda i=i: save(i) for i in range(4)], read, read)
    assert names(tmp_path) == [name]


def test_only_one_of_many_makes_a_file_that_must_be_new(tmp_path):
    done, refused = [], []
    gate = threading.Barrier(8)

    def make(i):
        gate.wait()
        try:
            write(tmp_path / "f", str(i).encode(), overwrite=False)
            done.append(i)
        except FileExistsError:
            refused.append(i)

    in_threads(*[lambda i=i: make(i) for i in range(8)])
    assert len(done) == 1
    assert len(refused) == 7
    assert (tmp_path / "f").read_bytes() == str(done[0]).encode()
    assert names(tmp_path) == ["f"]


WRITER = """
import sys, numpy as np, hotloop
from hotloop.layers import Dense, Input
model = hotloop.Sequential([Input((200,)), Dense(200)])
print("ready", flush=True)
value = int(sys.argv[2])
while True:
    model.set_weights([np.full(w.shape, value) for w in model.weights])
    model.save_weights(sys.argv[1])
"""


def test_processes_that_are_killed_in_the_middle(tmp_path):
    path = tmp_path / "w.safetensors"
    model = hotloop.Sequential([Input((200,)), Dense(200)])
    model.save_weights(path)
    rng = np.random.default_rng(0)
    for value in range(3):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(v)], stdout=-1)
            for v in (value, 10 + value)
        ]
        for writer in writers:
            writer.stdout.readline()
        for _ in range(20):
            model.load_weights(path)
            assert len({float(w.flat[0]) for w in model.get_weights()}) <= 2
        time.sleep(rng.uniform(0, 0.05))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
        model.load_weights(path)
    model.save_weights(path)
    assert names(tmp_path) == ["w.safetensors"]


# ------------------------------------------------------------------------ little memory

SHORT = """
import resource, sys, numpy as np, hotloop
from hotloop.layers import Dense, Input
model = hotloop.Sequential([Input((3000,)), Dense(3000), Dense(3000)])
path, extra, save = sys.argv[1], int(sys.argv[2]), sys.argv[3]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + extra, -1))
try:
    getattr(model, save)(path)
    print("saved")
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.parametrize(
    ("name", "save"), [("w.safetensors", "save_weights"), ("m.hotloop", "save")]
)
def test_a_save_that_lacks_memory_leaves_the_old_file(name, save, tmp_path):
    path = tmp_path / name
    ends = set()
    for megabytes in (0, 20, 45, 60):  # a weight has 36, all of them 72
        path.write_bytes(b"old")
        done = subprocess.run(
            [sys.executable, "-c", SHORT, str(path), str(megabytes << 20), save],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        ends.add(done.stdout.strip())
        if done.stdout.strip() == "MemoryError":
            assert path.read_bytes() == b"old"
        else:
            model = hotloop.Sequential([Input((3000,)), Dense(3000), Dense(3000)])
            model.load_weights(path)
        assert names(tmp_path) == [name]
    assert ends == {"saved", "MemoryError"}
    assert resource.getrlimit(resource.RLIMIT_AS)
