"""Whatever goes wrong in building the kernel, the recurrence still runs, and `backend` says why."""

import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pytest
import torch

from alrnn.recurrence import backend, build, kernel, recurrence

pytestmark = [
    pytest.mark.skipif(os.environ.get("ALRNN_KERNEL") == "0", reason="the kernel is switched off"),
    pytest.mark.skipif(os.name != "posix", reason="the kernel is built on POSIX systems only"),
    pytest.mark.filterwarnings("ignore::alrnn.recurrence.build.KernelWarning"),
]
compiled = pytest.mark.skipif(not build._compilers(), reason="no C compiler")

PROGRAM = """
import torch
from alrnn.recurrence import backend, recurrence
one = torch.ones(1, 1)
z = recurrence(one[None], one[None], one / 2, one[None], one[None], one, 0 * one)
assert z.item() == 3.5, z
print(backend().name, backend().why)
"""


def script(path, text):
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A new cache folder, and a kernel that is not yet loaded; afterwards the real one again."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("ALRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALRNN_CFLAGS", "-O0")  # quick to build
    kernel.load.cache_clear()
    yield tmp_path
    kernel.load.cache_clear()


def serves(name):
    """`name` is the backend now, and the recurrence computes. Returns why."""
    one = torch.ones(1, 1)
    z = recurrence(one[None], one[None], one / 2, one[None], one[None], one, 0 * one)
    assert z.item() == 3.5
    assert backend().name == name, backend().why
    return backend().why


@compiled
def test_built_once_and_kept_private(fresh):
    assert "built by" in serves("c")
    (library,) = (fresh / "cache").iterdir()  # nothing else is left behind
    assert stat.S_IMODE((fresh / "cache").stat().st_mode) == 0o700
    assert not stat.S_IMODE(library.stat().st_mode) & 0o022
    made = library.stat().st_mtime_ns
    kernel.load.cache_clear()
    serves("c")
    assert library.stat().st_mtime_ns == made


@compiled
def test_other_flags_make_another_file(fresh, monkeypatch):
    serves("c")
    monkeypatch.setenv("ALRNN_CFLAGS", "-O0 -DOTHER")
    kernel.load.cache_clear()
    serves("c")
    assert len(list((fresh / "cache").iterdir())) == 2


def test_switched_off(fresh, monkeypatch):
    monkeypatch.setenv("ALRNN_KERNEL", "0")
    assert serves("torch") == "switched off by ALRNN_KERNEL=0"
    assert not (fresh / "cache").exists()


def test_no_compiler(fresh, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    assert "no C compiler found" in serves("torch")


def test_compiler_that_does_not_exist(fresh, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler-anywhere")
    assert "no such compiler" in serves("torch")


@compiled
@pytest.mark.parametrize("name", ["CC", "ALRNN_CFLAGS"])
def test_setting_with_an_open_quote(fresh, monkeypatch, name):
    monkeypatch.setenv(name, '"')
    assert "quotation" in serves("torch")


@compiled
def test_folders_on_the_way_are_made_private_whatever_the_umask(fresh, monkeypatch):
    monkeypatch.setenv("ALRNN_CACHE", str(fresh / "new" / "cache"))
    old = os.umask(0o002)
    try:
        serves("c")
    finally:
        os.umask(old)
    assert stat.S_IMODE((fresh / "new").stat().st_mode) == 0o700


@compiled
def test_folder_of_the_data_may_be_shared_with_a_group(fresh, monkeypatch):
    """With a umask of 002 the data's folder, next to the kernel's, is open to the user's group."""
    monkeypatch.delenv("ALRNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh))
    (fresh / "alrnn").mkdir()
    (fresh / "alrnn").chmod(0o775)
    serves("c")
    assert stat.S_IMODE((fresh / "alrnn-kernel").stat().st_mode) == 0o700
    assert not list((fresh / "alrnn").iterdir())


def test_compiler_that_fails(fresh, monkeypatch):
    monkeypatch.setenv("CC", script(fresh / "cc", "echo out of luck >&2; exit 3"))
    why = serves("torch")
    assert "status 3" in why and "out of luck" in why
    assert [path.suffix for path in (fresh / "cache").iterdir()] == [".failed"]


def test_compiler_that_claims_success_but_makes_nothing(fresh, monkeypatch):
    monkeypatch.setenv("CC", script(fresh / "cc", "exit 0"))
    assert "status 0" in serves("torch")


def test_compiler_that_makes_rubbish(fresh, monkeypatch):
    rubbish = 'while [ "$1" != -o ]; do shift; done; echo rubbish > "$2"'
    monkeypatch.setenv("CC", script(fresh / "cc", rubbish))
    assert ".so" in serves("torch")


@compiled
def test_next_compiler_serves_if_the_first_fails(fresh, monkeypatch):
    bad = script(fresh / "cc", "exit 1")
    monkeypatch.setattr(build, "_compilers", lambda real=build._compilers: [[bad], *real()])
    serves("c")


@compiled
def test_broken_file_in_the_cache_is_built_anew(fresh):
    serves("c")
    (library,) = (fresh / "cache").iterdir()
    library.unlink()
    library.write_bytes(b"not a library")
    library.chmod(0o700)
    kernel.load.cache_clear()
    serves("c")


def serves_for_itself(folder):
    """The kernel serves from a temporary folder, of which nothing is left. Returns why it does not from the cache."""
    left = tempfile.mkdtemp(dir=folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build.tempfile, "tempdir", left)
        why = serves("c")
    assert f"in {left}, for this process alone" in why
    os.rmdir(left)  # or it is not empty
    return why


@compiled
def test_folder_that_cannot_be_made(fresh, monkeypatch):
    (fresh / "file").write_text("")
    monkeypatch.setenv("ALRNN_CACHE", str(fresh / "file" / "cache"))
    assert "file" in serves_for_itself(fresh)


@compiled
def test_read_only_home(fresh, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system", "cache")

    monkeypatch.setattr(build.Path, "mkdir", refuse)
    assert "Read-only file system" in serves_for_itself(fresh)


@compiled
def test_no_home(fresh, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ALRNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(build.Path, "home", homeless)
    assert "home" in serves_for_itself(fresh)


@compiled
def test_folder_others_can_write(fresh):
    (fresh / "cache").mkdir()
    (fresh / "cache").chmod(0o770)
    assert "others can write" in serves_for_itself(fresh)
    assert not list((fresh / "cache").iterdir())


@compiled
def test_parent_folder_others_can_write(fresh, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    fresh.chmod(0o777)
    assert f"{fresh} belongs to another or others can write to it" in serves_for_itself(elsewhere)
    assert not list((fresh / "cache").iterdir())
    fresh.chmod(0o1777)  # sticky, as /tmp: nobody can replace the folder
    kernel.load.cache_clear()
    assert str(fresh / "cache") in serves("c")


@compiled
def test_no_folder_at_all(fresh, monkeypatch):
    """Where others can replace the temporary folder, too, nothing is built: what is loaded might be theirs."""
    (fresh / "open").mkdir()
    (fresh / "open").chmod(0o777)
    monkeypatch.setenv("ALRNN_CACHE", str(fresh / "open" / "cache"))
    monkeypatch.setattr(build, "_places", lambda cache: [fresh / "open"])
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("there is no place for it"))
    assert "others can write" in serves("torch")


@compiled
@pytest.mark.parametrize("how", ["others can write", "a link"])
def test_library_that_is_not_safe_is_not_loaded_but_built_anew(fresh, how):
    serves("c")
    (library,) = (fresh / "cache").iterdir()
    trap = fresh / "elsewhere.so"  # another inode: what is loaded stays as it is
    shutil.copy(library, trap)
    library.unlink()
    if how == "a link":
        library.symlink_to(trap)
    else:
        shutil.copy(trap, library)
        library.chmod(0o722)
    old = library.lstat().st_ino
    kernel.load.cache_clear()
    serves("c")
    status = library.lstat()
    assert status.st_ino != old and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o022


@compiled
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("which", ["cache", "its parent"])
def test_folder_of_another_user(fresh, monkeypatch, which):
    folder = fresh / "theirs" / "cache"
    folder.mkdir(parents=True, mode=0o755)
    monkeypatch.setenv("ALRNN_CACHE", str(folder))
    os.chown(folder if which == "cache" else folder.parent, 12345, 12345)
    assert "belongs to" in serves_for_itself(fresh)
    assert not list(folder.iterdir())


@compiled
def test_processes_that_build_at_once(fresh):
    processes = [subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.communicate(timeout=300)[0].startswith("c built by")
        assert process.returncode == 0
    assert len(list((fresh / "cache").iterdir())) == 1


# ---- failures are remembered, and said once


@pytest.fixture
def broken(fresh, monkeypatch):
    """A compiler that fails. The fixture is a function: load anew; how often is the compiler called?"""
    log = fresh / "log"
    monkeypatch.setenv("CC", script(fresh / "cc", f'echo called >> "{log}"; exit 1'))

    def called():
        log.write_text("")
        kernel.load.cache_clear()
        assert kernel.load()[0] is None
        return len(log.read_text().split())

    return called


@pytest.mark.parametrize("change", ["an hour", "a clock", "ALRNN_KERNEL=1", "compiler", "flags", "source", "alrnn"])
def test_failure_is_remembered_until_something_changes(fresh, monkeypatch, broken, change):
    assert broken() == len(build.NATIVE)
    assert broken() == 0
    assert "status 1" in backend().why and "ALRNN_KERNEL=1 tries again" in backend().why
    (marker,) = (fresh / "cache").iterdir()
    if change in ("an hour", "a clock"):
        then = time.time() + (-1 if change == "an hour" else 1) * (build.HOUR + 10)
        os.utime(marker, (then, then))
    elif change == "ALRNN_KERNEL=1":
        monkeypatch.setenv("ALRNN_KERNEL", "1")
    elif change == "compiler":
        with (fresh / "cc").open("a") as file:
            file.write("# another version")
    elif change == "flags":
        monkeypatch.setenv("ALRNN_CFLAGS", "-O0 -DOTHER")
    elif change == "source":
        (fresh / "kernel.c").write_text("")
        monkeypatch.setattr(build, "SOURCE", fresh / "kernel.c")
    else:
        monkeypatch.setattr(build, "__version__", "another")
    assert broken() == len(build.NATIVE)


def test_failure_without_a_folder_to_note_it_is_tried_again(fresh, monkeypatch, broken):
    (fresh / "cache").mkdir()
    (fresh / "cache").chmod(0o770)
    assert broken() == broken() == len(build.NATIVE)


@compiled
def test_success_forgets_the_failure(fresh, monkeypatch):
    """The compiler is the same program, what it calls was missing."""
    real = shlex.join(build._compilers()[0])
    monkeypatch.setenv("CC", script(fresh / "cc", f'test -e "{fresh}/headers" && exec {real} "$@"'))
    serves("torch")
    (fresh / "headers").touch()
    monkeypatch.setenv("ALRNN_KERNEL", "1")
    kernel.load.cache_clear()
    serves("c")
    assert [path.suffix for path in (fresh / "cache").iterdir()] == [".so"]


def test_compilers_that_are_the_same_program_are_tried_once(fresh, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(fresh))
    script(fresh / "gcc-12", "exit 1")
    (fresh / "gcc").symlink_to("gcc-12")
    (fresh / "cc").symlink_to("gcc")
    script(fresh / "clang", "exit 2")
    assert build._compilers() == [[str(fresh / "cc")], [str(fresh / "clang")]]
    assert serves("torch").count("failed with status") == 2


def test_torch_for_want_of_a_kernel_is_said_once_with_the_reason(fresh, monkeypatch):
    monkeypatch.setenv("CC", script(fresh / "cc", "echo out of luck >&2; exit 3"))
    with pytest.warns(build.KernelWarning, match="out of luck") as seen:
        serves("torch")
        serves("torch")
    assert len(seen) == 1 and "ALRNN_KERNEL=0" in str(seen[0].message)


def test_what_was_chosen_is_not_warned_of(fresh, monkeypatch):
    monkeypatch.setenv("ALRNN_KERNEL", "0")
    with warnings.catch_warnings(action="error"):
        serves("torch")


def test_workers_do_not_repeat_the_warning(fresh, monkeypatch):
    program = fresh / "program.py"
    program.write_text(
        "import multiprocessing\nfrom alrnn.recurrence import backend\n"
        "def name(_): return backend().name\n"
        "if __name__ == '__main__':\n"
        "    print(backend().name)\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as pool: print(*pool.map(name, [0, 1], 1))\n"
    )
    monkeypatch.setenv("CC", script(fresh / "cc", "echo one; echo two >&2; echo three >&2; exit 3"))
    monkeypatch.setenv(build.TOLD, "1")  # as in a child of a process that has said so and is not its parent's worker
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["torch"] * 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert "KernelWarning" in line and "two three" in line


def test_what_a_killed_build_left_is_cleared_when_it_is_old(fresh, monkeypatch):
    pid = fresh / "pid"
    monkeypatch.setenv("CC", script(fresh / "cc", f'echo $$ > "{pid}.new"; mv "{pid}.new" "{pid}"; exec sleep 600'))
    process = subprocess.Popen([sys.executable, "-c", PROGRAM])
    while not pid.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    (left,) = (fresh / "cache").iterdir()
    recent = Path(tempfile.mkdtemp(dir=fresh / "cache"))
    os.utime(left, (0, time.time() - build.HOUR - 10))
    monkeypatch.setenv("CC", script(fresh / "cc", "exit 1"))
    serves("torch")
    assert not left.exists() and recent.exists()


# ---- machines as they are

ROOT = os.name == "posix" and os.geteuid() == 0
MOUNTING = ["unshare", "--mount"] if ROOT else ["unshare", "--map-root-user", "--mount"]
AS_ANOTHER = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"] if ROOT else []
UNKNOWN = {  # users in whose name space / belongs to nobody known
    "same": [*AS_ANOTHER, "unshare", "--user", "--map-user=1000", "--map-group=1000"],
    "root": [*AS_ANOTHER, "unshare", "--user", "--map-root-user"],
}
if ROOT:  # it may be that nobody else can read this Python: then all is as it was but for the owner of /
    NEW_ROOT = """
        mount -t tmpfs -o mode=755,uid=12345 none "$1" && here=$PWD || exit
        for x in /*; do
            if [ -L "$x" ]; then cp -P "$x" "$1$x"; elif [ -d "$x" ]; then mkdir "$1$x"; mount --rbind "$x" "$1$x"; fi
        done
        cd "$1" && mkdir .old && pivot_root . .old && cd "$here" && shift || exit
        exec unshare --user --map-user=1000 --map-group=1000 "$@"
    """
    UNKNOWN["another's folder"] = [*MOUNTING, "sh", "-c", NEW_ROOT, "sh", "ROOT"]


@pytest.fixture
def at_home():
    """Runs PROGRAM by a command given, in a home of its own; returns what it prints and the number of compilations.

    `home` has the mode 0700; TMPDIR, beside it, is sticky as /tmp and is empty afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="alrnn test ") as folder:
        home, temporary, log = (Path(folder, name) for name in ("home", "temporary", "log"))
        home.mkdir(mode=0o700)
        temporary.mkdir()
        temporary.chmod(0o1777)
        log.touch()
        log.chmod(0o666)
        Path(folder).chmod(0o755)
        cc = script(Path(folder, "cc"), f'echo called >> "{log}"; exec {shlex.join(build._compilers()[0])} "$@"')
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALRNN", "XDG"))}
        env = kept | {"CC": shlex.join(["sh", cc]), "ALRNN_CFLAGS": "-O0", "HOME": str(home), "TMPDIR": str(temporary)}

        def run(*command, program=PROGRAM):
            look = [sys.executable, "-c", f"open({build.__file__!r})"]
            able = subprocess.run([*command, *look], env=env, capture_output=True, text=True)
            if able.returncode:
                pytest.skip(f"not on this machine: {shlex.join(command)}: {able.stderr[-200:]}")
            done = subprocess.run(
                [*command, sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr
            assert not list(temporary.iterdir())
            return done.stdout, len(log.read_text().split())

        run.home = home
        yield run


@compiled
@pytest.mark.parametrize("who", UNKNOWN)
def test_name_space_in_which_nobody_known_owns_the_root_folder(at_home, who):
    """Containers without root: outside they are an ordinary user's, and inside root's files are nobody's."""
    (at_home.home.parent / "root").mkdir()
    command = [str(at_home.home.parent / "root") if word == "ROOT" else word for word in UNKNOWN[who]]
    if ROOT and who != "another's folder":
        os.chown(at_home.home, 1000, 1000)
    said, _ = at_home(*command)
    assert said.startswith("c built by") and f"{at_home.home}/.cache/alrnn-kernel/kernel-" in said
    at_home.home.chmod(0o777)
    said, _ = at_home(*command)
    assert "others can write" in said and "for this process alone" in said


@compiled
def test_home_that_a_group_can_write(at_home):
    """As in Jupyter's images."""
    at_home.home.chmod(0o2775)
    said, calls = at_home()
    assert said.startswith("c built by") and f"{at_home.home} belongs to another or others can write" in said
    assert calls == 1 and not list(at_home.home.rglob("kernel*"))


@compiled
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "not seen"])
def test_home_in_which_nothing_can_be_executed(at_home, seen):
    """It is compiled once, also where a mount does not say what it forbids, and left where it can be loaded."""
    mount = 'mount -t tmpfs -o noexec,mode=0700 none "$HOME" && exec "$@"'
    program = PROGRAM if seen else f"import os; vars(os).pop('ST_NOEXEC', None)\n{PROGRAM}"
    said, calls = at_home(*MOUNTING, "sh", "-c", mount, "sh", program=program)
    assert said.startswith("c built by") and "for this process alone" in said
    assert calls == 1 and ("noexec" if seen else "/kernel-") in said


@compiled
def test_machine_on_which_nothing_can_be_executed(at_home):
    """Then nothing is compiled, and as soon as it changes that is noticed."""
    if any(Path(tempfile.gettempdir()) in Path(x).resolve().parents for x in (sys.executable, torch.__file__)):
        pytest.skip("Python itself lies in the temporary folder")
    forbid = 'for x in /tmp /var/tmp /dev/shm "$HOME" "$TMPDIR"; do mount --bind "$x" "$x" || exit; '
    forbid += 'mount -o remount,bind,noexec "$x" || exit; done; exec "$@"'
    said, calls = at_home(*MOUNTING, "sh", "-c", forbid, "sh")
    assert said.startswith("torch ") and "noexec" in said and calls == 0
    assert at_home()[0].startswith("c built by")
