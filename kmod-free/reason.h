/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why something was opened, closed or refused: one enum, each value with the word that JSON, logs
 * and counters use and the sentence that a person reads.
 */
#ifndef REASON_H
#define REASON_H

#include <stdbool.h>

/* X(NAME, word, sentence); the first block is ordinary life, the second are refusals. */
#define REASON_LIFE(X)                                                                             \
	X(NONE, "none", "nothing to say")                                                          \
	X(ANNOUNCED, "announced", "a control session announced this port")                         \
	X(RESTORED, "restored", "open before a restart, and its session is still alive")           \
	X(FIRST_PACKET, "first-packet", "the expected flow has begun")                             \
	X(FLOW_ENDED, "flow-ended", "the admitted flow has ended")                                 \
	X(EXPIRED, "expired", "nobody used it in time")                                            \
	X(SESSION_ENDED, "session-ended", "its control session has ended")                         \
	X(SUPERSEDED, "superseded", "the session announced another port instead")                  \
	X(WITHDRAWN, "withdrawn", "the server turned the request down")                            \
	X(OPERATOR, "operator", "closed by the operator")                                          \
	X(IDLE, "idle", "its hosts have had no connection for a while; remembered")                \
	X(RETURNED, "returned", "its hosts have a connection again")                               \
	X(REGISTERED, "registered", "the local rpcbind says that the program is there")            \
	X(UNREGISTERED, "unregistered", "the local rpcbind says that the program is not there")    \
	X(SILENT, "silent", "nothing has been heard of it for its detection time")                 \
	X(ADMIN_DOWN, "admin-down", "it was switched off by its administrator, and says so")       \
	X(NOT_UP, "not-up", "its session is not up any more")                                      \
	X(ACCEPTED, "accepted", "the firewall lets the flow in by itself")                         \
	X(POLICY, "policy", "the configuration no longer allows it")                               \
	X(COMMIT_FAILED, "commit-failed", "the kernel did not take it")

#define REASON_REFUSAL(X)                                                                          \
	X(MALFORMED, "malformed", "the announcement cannot be read")                               \
	X(UNSOLICITED, "unsolicited", "an answer to a question that nobody asked")                 \
	X(PORT_ZERO, "port-zero", "port 0 is no port")                                             \
	X(PORT_RANGE, "port-range", "a port number above 65535")                                   \
	X(PORT_RESERVED, "port-reserved", "a port below the lowest that may be opened")            \
	X(PORT_HIGH, "port-high", "a port above the highest that may be opened")                   \
	X(PORT_NEVER, "port-never", "a port on the list of those never opened")                    \
	X(PROGRAM, "program", "an RPC program that is not on the list")                            \
	X(PROXY, "proxy", "a call by way of rpcbind opens nothing")                                \
	X(ADDRESS, "address", "the announced address is not that of the control peer")             \
	X(FAMILY, "family", "the announced address is of the other family")                        \
	X(EPSV_ALL, "epsv-all", "the client promised EPSV ALL (RFC 2428 section 4)")               \
	X(BARE_LF, "bare-lf", "the line before it did not end in CRLF")                            \
	X(LINE_TOO_LONG, "line-too-long", "a control line longer than any sane one")               \
	X(PIPELINE, "pipeline", "more commands in flight than are kept track of")                  \
	X(ENCRYPTED, "encrypted", "the control session went to TLS; tls = closed")                 \
	X(GAP, "gap", "bytes of the control stream were not seen")                                 \
	X(HOPS, "hops", "it has come through more routers than it may")                            \
	X(DISCRIMINATOR, "discriminator", "it names another session than ours")                    \
	X(PEER, "peer", "a peer that is not on the list")                                          \
	X(STRANGER, "stranger", "no pinhole waits for it (any more)")                              \
	X(NAT, "nat", "the control flow is translated")                                            \
	X(FRAGMENT, "fragment", "a fragment of a packet")                                          \
	X(BAD_PACKET, "bad-packet", "the packet's own headers contradict each other")              \
	X(NO_SERVICE, "no-service", "no such service is enabled")                                  \
	X(LIMIT_SESSIONS, "limit-sessions", "too many sessions")                                   \
	X(LIMIT_SESSIONS_CLIENT, "limit-sessions-client", "too many sessions of this client")      \
	X(LIMIT_PINHOLES, "limit-pinholes", "too many pinholes")                                   \
	X(LIMIT_PINHOLES_CLIENT, "limit-pinholes-client", "too many pinholes of this client")      \
	X(LIMIT_PINHOLES_SESSION, "limit-pinholes-session", "too many pinholes of this session")   \
	X(LIMIT_BURST, "limit-burst", "too many announcements in one packet")                      \
	X(NO_MEMORY, "no-memory", "out of memory")

enum reason {
#define X(name, word, text) REASON_##name,
	REASON_LIFE(X) REASON_REFUSAL(X)
#undef X
	    REASON_MAX
};

const char *reason_word(enum reason r);
const char *reason_text(enum reason r);

static inline bool reason_is_refusal(enum reason r)
{
	return r >= REASON_MALFORMED;
}

#endif
