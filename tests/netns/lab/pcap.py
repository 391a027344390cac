# SPDX-License-Identifier: GPL-2.0-or-later
"""Records what passes a device into a pcap file, as tcpdump would."""

import select
import socket
import struct
import threading
import time

LINKTYPE_ETHERNET = 1
ETH_P_ALL = 3


class Recorder:
    """`with` records from its beginning to its end."""

    def __init__(self, ns, device, path):
        with ns.entered():
            self.socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)
            )
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((device, ETH_P_ALL))
        self.path = path
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        self.socket.close()

    def _run(self):
        with open(self.path, "wb") as f:
            f.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_ETHERNET))
            while True:
                last_round = self.ending.is_set()
                while select.select([self.socket], [], [], 0 if last_round else 0.05)[0]:
                    frame = self.socket.recv(65535)
                    now = time.time_ns()
                    f.write(struct.pack("=IIII", now // 10**9, now // 1000 % 10**6, len(frame), len(frame)))
                    f.write(frame)
                if last_round:
                    return
