/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control protocol between pinholed and whoever asks: JSON Lines over a unix stream socket,
 * UTF-8, one object a line. Anyone in the socket's group may read; `close` is for root.
 *
 * Request, one line of at most PH_CTL_LINE bytes; several may follow on one connection:
 *   {"cmd": "list"}                      pinholes, one item a line
 *   {"cmd": "sessions"}                  sessions, one item a line
 *   {"cmd": "show", "id": 7}             the pinhole, and its session if that still lives
 *   {"cmd": "why", "id": 7} or {"cmd": "why", "addr": "10.0.0.2", "port": 40000}
 *   {"cmd": "stats"}                     one item
 *   {"cmd": "watch"}                     events as they happen, until the peer hangs up
 *   {"cmd": "close", "id": 7}            root only
 *   {"cmd": "rpc"}                       the local rpcbind, then its programs, one item a line
 *   {"cmd": "status"}                    version, admit, capture mode, what the kernel lacks
 *
 * Answer: any number of item lines, then one closing line:
 *   {"ok": true}            or          {"ok": false, "error": "..."}
 *
 * A pinhole item:
 *   {"id","state":"open|bound","service","proto":"tcp|udp","src","sport":null|N,"dst",
 *    "dport":N|"lo-hi","age":seconds,"expires":seconds|null,"packets":N|absent,"parent":id|absent,
 *    "cause":"escaped control line","opened":"RFC 3339 time",
 *    "session":{"id","proto","src","sport","dst","dport","alive":bool}}
 * A mapping (sunrpc) also has "program": N, "program_name" where there is one, "versions": [N,...],
 * and may be "dormant".
 * An rpc item: {"rpcbind":"answered|absent|silent|never asked","error"}, then
 *   {"program","program_name","version","proto","family":4|6,"port","allowed":bool,"reason"}
 * A session item:
 *   {"id","service","proto","src","sport","dst","dport","age","idle","resumed","encrypted",
 *    "opened":N,"refused":N,"pinholes":[id,...]}
 * With bfd, a session item, and the "session" of a pinhole item beside "idle", also has what each
 * side has last said: "local_state","local_discriminator","local_multiplier","local_tx_us",
 * "local_rx_us","local_echo_us", and "local_detection_us", how long it may be silent; likewise
 * "peer_...". Flows between link-local addresses have "ifindex".
 * A watch item has the form of `pinholectl replay --json`, without "frame".
 */
#ifndef PINHOLE_CTL_H
#define PINHOLE_CTL_H

#define PH_RUNTIME_DIR "/run/pinholed"
#define PH_CTL_SOCKET  "ctl.sock" /* within the runtime directory */
#define PH_STATE_FILE  "state.json"
#define PH_CTL_LINE    4096

#endif
