"""What idle connections cost: ``python tests/benchmarks/idle.py [--connections 10000]``.

That many clients send a request, and stay connected without a word. Told is the resident memory
that each of them takes in the server, and what 32 busy clients under ``wrk`` get before and
meanwhile.
"""

from __future__ import annotations

import argparse
import resource
import socket
import time

from contestants import cpu_time, free_port, running

from servers import measure

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: idle/1.0\r\nAccept: */*\r\n\r\n"

SERVER = """
import applications
from cptoolkit.servers import serve
serve(applications.hello, port={port}, keep_alive_timeout=3600)
"""


def resident(process: int) -> int:
    """Return the bytes of memory that a process has in use."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def gather(count: int, port: int) -> list[socket.socket]:
    """Return connections on which one request has been answered."""
    crowd = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(REQUEST)
        assert sock.recv(4096).endswith(b"Hello world!")
        crowd.append(sock)
    return crowd


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure idle connections.")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
    if hard != resource.RLIM_INFINITY and hard * 3 // 4 < options.connections + 100:
        raise SystemExit(f"no more than {hard} descriptors may be open (ulimit -Hn)")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with running(["-c", SERVER.format(port=port)], port) as server:
        measure(url, "", 1)
        rows = [("before", measure(url, "", options.seconds))]
        memory = resident(server)
        began = time.perf_counter()
        crowd = gather(options.connections, port)
        took = time.perf_counter() - began
        each = (resident(server) - memory) / options.connections
        rows.append((f"beside {options.connections} idle", measure(url, "", options.seconds)))
        used = cpu_time(server)
        time.sleep(options.seconds)
        rest = (cpu_time(server) - used) / options.seconds
        for sock in crowd:
            sock.close()
        rows.append(("after", measure(url, "", options.seconds)))
    print(
        f"{options.connections} connections in {took:.1f} s, {each / 1024:.1f} KiB of memory each"
    )
    print(f"while nobody says a word: {rest:.2%} of a processor")
    print(f"{'32 busy clients':<22}{'req/s':>10}{'p99 ms':>10}")
    for title, (_, rate, delay) in rows:
        print(f"{title:<22}{rate:>10.0f}{delay:>10.2f}")


if __name__ == "__main__":
    main()
