/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RPC messages as peers write them: XDR (RFC 4506), calls, replies and record marking (RFC 5531),
 * portmap version 2 and rpcbind versions 3 and 4 (RFC 1833). It shares no code with what reads them
 * in kmod-free, and writes nonsense as readily as sense.
 */
#ifndef RPC_H
#define RPC_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RPC_MAX      65000u /* bytes of a message, or of records on their way into one segment */
#define RPC_PORTMAP  100000u
#define RPC_NFS      100003u
#define RPC_MOUNTD   100005u
#define RPC_NLOCKMGR 100021u
#define RPC_STATUS   100024u
#define RPC_YPBIND   100007u /* on nobody's list */

enum rpc_netproto { RPC_TCP = 6, RPC_UDP = 17 };

/* Procedures: version 2, and versions 3 and 4. */
enum pmap_procedure { PMAP_NULL, PMAP_SET, PMAP_UNSET, PMAP_GETPORT, PMAP_DUMP, PMAP_CALLIT };
enum rpcb_procedure {
	RPCB_NULL,
	RPCB_SET,
	RPCB_UNSET,
	RPCB_GETADDR,
	RPCB_DUMP,
	RPCB_BCAST, /* CALLIT in version 3 */
	RPCB_GETTIME,
	RPCB_UADDR2TADDR,
	RPCB_TADDR2UADDR,
	RPCB_GETVERSADDR,
	RPCB_INDIRECT,
	RPCB_GETADDRLIST,
	RPCB_GETSTAT,
};

enum rpc_accepted {
	RPC_SUCCESS,
	RPC_PROG_UNAVAIL,
	RPC_PROG_MISMATCH,
	RPC_PROC_UNAVAIL,
	RPC_GARBAGE_ARGS,
	RPC_SYSTEM_ERR,
};

struct message {
	size_t len;
	uint8_t bytes[RPC_MAX];
};

/* --- XDR ----------------------------------------------------------------------------------------
 */

static inline void xdr_word(struct message *m, uint32_t v)
{
	assert(m->len + 4 <= RPC_MAX);
	for (int shift = 24; shift >= 0; shift -= 8)
		m->bytes[m->len++] = (uint8_t)(v >> shift);
}

static inline void xdr_bytes(struct message *m, const void *bytes, size_t len)
{
	assert(m->len + len <= RPC_MAX);
	if (len)
		memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

static inline void xdr_opaque(struct message *m, const void *bytes, size_t len)
{
	static const uint8_t zero[3];

	xdr_word(m, (uint32_t)len);
	xdr_bytes(m, bytes, len);
	xdr_bytes(m, zero, (4 - len % 4) % 4);
}

static inline void xdr_text(struct message *m, const char *text)
{
	xdr_opaque(m, text, strlen(text));
}

/* Credentials or a verifier: AUTH_SYS of so many bytes, AUTH_NONE of none. */
static inline void xdr_auth(struct message *m, size_t len)
{
	static const uint8_t zero[1024];

	assert(len <= sizeof(zero));
	xdr_word(m, len ? 1 : 0);
	xdr_opaque(m, zero, len);
}

/* --- calls --------------------------------------------------------------------------------------
 * All begin a message anew.
 */

static inline void rpc_call_with(struct message *m, uint32_t xid, uint32_t program,
    uint32_t version, uint32_t procedure, size_t credential, size_t verifier)
{
	m->len = 0;
	xdr_word(m, xid);
	xdr_word(m, 0); /* CALL */
	xdr_word(m, 2); /* RPC version */
	xdr_word(m, program);
	xdr_word(m, version);
	xdr_word(m, procedure);
	xdr_auth(m, credential);
	xdr_auth(m, verifier);
}

static inline void rpc_call(struct message *m, uint32_t xid, uint32_t version, uint32_t procedure)
{
	rpc_call_with(m, xid, RPC_PORTMAP, version, procedure, 0, 0);
}

static inline void pmap_getport(
    struct message *m, uint32_t xid, uint32_t program, uint32_t version, uint32_t protocol)
{
	rpc_call(m, xid, 2, PMAP_GETPORT);
	xdr_word(m, program);
	xdr_word(m, version);
	xdr_word(m, protocol);
	xdr_word(m, 0);
}

/* GETADDR, GETVERSADDR, GETADDRLIST: struct rpcb */
static inline void rpcb_ask(struct message *m, uint32_t xid, uint32_t rpcbvers, uint32_t procedure,
    uint32_t program, uint32_t version, const char *netid)
{
	rpc_call(m, xid, rpcbvers, procedure);
	xdr_word(m, program);
	xdr_word(m, version);
	xdr_text(m, netid);
	xdr_text(m, ""); /* r_addr */
	xdr_text(m, ""); /* r_owner */
}

/* --- replies ------------------------------------------------------------------------------------
 */

static inline void rpc_reply(struct message *m, uint32_t xid, enum rpc_accepted status)
{
	m->len = 0;
	xdr_word(m, xid);
	xdr_word(m, 1); /* REPLY */
	xdr_word(m, 0); /* MSG_ACCEPTED */
	xdr_auth(m, 0);
	xdr_word(m, status);
}

static inline void rpc_denied(struct message *m, uint32_t xid)
{
	m->len = 0;
	xdr_word(m, xid);
	xdr_word(m, 1);
	xdr_word(m, 1); /* MSG_DENIED */
	xdr_word(m, 1); /* AUTH_ERROR */
	xdr_word(m, 5); /* AUTH_TOOWEAK */
}

static inline void pmap_port(struct message *m, uint32_t xid, uint32_t port)
{
	rpc_reply(m, xid, RPC_SUCCESS);
	xdr_word(m, port);
}

static inline void rpcb_uaddr(struct message *m, uint32_t xid, const char *uaddr)
{
	rpc_reply(m, xid, RPC_SUCCESS);
	xdr_text(m, uaddr);
}

/* Entries of the three kinds of list, each with the word before it that says that there is one. */
static inline void pmap_entry(
    struct message *m, uint32_t program, uint32_t version, uint32_t protocol, uint32_t port)
{
	xdr_word(m, 1);
	xdr_word(m, program);
	xdr_word(m, version);
	xdr_word(m, protocol);
	xdr_word(m, port);
}

static inline void rpcb_entry(
    struct message *m, uint32_t program, uint32_t version, const char *netid, const char *uaddr)
{
	xdr_word(m, 1);
	xdr_word(m, program);
	xdr_word(m, version);
	xdr_text(m, netid);
	xdr_text(m, uaddr);
	xdr_text(m, "superuser");
}

static inline void rpcb_endpoint(struct message *m, const char *uaddr, const char *netid)
{
	xdr_word(m, 1);
	xdr_text(m, uaddr);
	xdr_text(m, netid);
	xdr_word(m, 3); /* NC_TPI_COTS_ORD */
	xdr_text(m, "inet");
	xdr_text(m, "tcp");
}

static inline void rpc_list_end(struct message *m)
{
	xdr_word(m, 0);
}

/* --- records ------------------------------------------------------------------------------------
 */

static inline void rpc_mark(struct message *out, uint32_t len, int last)
{
	xdr_word(out, len | (last ? 1u << 31 : 0));
}

/* One more record behind those in out, in fragments of at most `fragment` bytes. */
static inline void rpc_record(struct message *out, const struct message *m, size_t fragment)
{
	size_t at = 0;

	do {
		size_t n = m->len - at < fragment ? m->len - at : fragment;

		rpc_mark(out, (uint32_t)n, at + n == m->len);
		xdr_bytes(out, m->bytes + at, n);
		at += n;
	} while (at < m->len);
}

#endif
