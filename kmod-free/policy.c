// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Defaults and judgement. The order of the checks is the order in which an administrator would want
 * to hear of them: what is no port at all, what is somebody else's address, what is never opened.
 */
#include "policy.h"

#include <string.h>

void policy_defaults(struct policy *p)
{
	memset(p, 0, sizeof(*p));
	p->max_sessions = 16384;
	p->max_sessions_client = 1024;
	p->max_pinholes = 65536;
	p->max_pinholes_client = 4096;
	p->max_pinholes_session = 64;
	p->admit = ADMIT_RELATED;
	p->service[PH_SVC_FTP] = (struct service_policy){
		.enabled = true,
		.ports = { 21 },
		.n_ports = 1,
		.min_port = 1024,
		.ttl = 60 * NSEC_PER_SEC,
		.tls = TLS_CLOSED,
		.window_lo = 32768,
		.window_hi = 60999,
	};
}

enum ph_service policy_service_of(const struct policy *p, uint16_t port)
{
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++) {
		const struct service_policy *s = &p->service[svc];

		for (unsigned int i = 0; s->enabled && i < s->n_ports; i++)
			if (s->ports[i] == port)
				return (enum ph_service)svc;
	}
	return PH_SVC_NONE;
}

enum reason policy_judge(const struct policy *p, enum ph_service svc, uint32_t port,
    const struct addr *announced, const struct addr *peer)
{
	if (port == 0)
		return REASON_PORT_ZERO;
	if (port > UINT16_MAX)
		return REASON_PORT_RANGE;
	if (announced->family != FAMILY_NONE) {
		if (announced->family != peer->family)
			return REASON_FAMILY;
		/* RFC 2577 section 3: never for the sake of a third host. */
		if (!addr_equal(announced, peer))
			return REASON_ADDRESS;
	}
	if (port < p->service[svc].min_port)
		return REASON_PORT_RESERVED;
	return REASON_ANNOUNCED;
}
