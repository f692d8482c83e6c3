"""Fetches Debian's nginx, HAProxy and Caddy and unpacks them into `interop/.proxies`, with the
libraries that this machine lacks. Nothing is installed and no service is started."""

import pathlib
import subprocess
import tempfile

PROGRAMS = ["nginx", "haproxy", "caddy"]
# What packages name for their services and accounts, which are not wanted here.
NOT_NEEDED = {"adduser", "dpkg", "init-system-helpers", "iproute2", "lsb-base", "media-types",
              "nginx-common", "sysvinit-utils", "libnss3-tools"}

target = pathlib.Path(__file__).parent.parent / ".proxies"


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def missing_libraries(packages):
    """The packages of libraries that these need, directly or by others, and that are not installed."""
    wanted, found = list(packages), set()
    while wanted:
        for line in output("apt-cache", "depends", "--important", wanted.pop()).splitlines():
            kind, _, name = line.strip().partition(": ")
            if not kind.endswith("Depends") or name in NOT_NEEDED | found or name.startswith("<"):
                continue
            if subprocess.run(["dpkg-query", "-W", name], capture_output=True).returncode != 0:
                found.add(name)
                wanted.append(name)
    return found


def main():
    if subprocess.run(["apt-cache", "show", PROGRAMS[0]], capture_output=True).returncode != 0:
        subprocess.run(["apt-get", "update"], check=True)
    names = {*PROGRAMS, *missing_libraries(PROGRAMS)}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", *sorted(names)], check=True, cwd=folder)
        target.mkdir(exist_ok=True)
        for package in sorted(pathlib.Path(folder).glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(target)], check=True)
    (target / "complete").write_text("\n".join(PROGRAMS) + "\n")


try:
    main()
except (OSError, subprocess.CalledProcessError) as error:
    # Their tests say that they were skipped.
    print(f"nginx, HAProxy and Caddy cannot be had here: {error}")
