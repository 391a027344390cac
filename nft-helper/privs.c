// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Capabilities through libcap-ng, system calls through libseccomp; Landlock has no library in the
 * distributions we build on, and is three system calls.
 */
#include "privs.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

bool privs_net_admin(void)
{
	return capng_get_caps_process() == 0 &&
	       capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}

static int drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) < 0)
		return -EINVAL;
	/* The bounding set can only be emptied by who has CAP_SETPCAP; a unit may not have it. */
	if (capng_apply(CAPNG_SELECT_BOTH) < 0 && capng_apply(CAPNG_SELECT_CAPS) < 0)
		return -EPERM;
	return 0;
}

/* All of Landlock's first version (Linux 5.13) that changes or executes something. */
#define LANDLOCK_CHANGES                                                                           \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                        \
	    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                            \
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                          \
	    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int confine_files(const char *writable_dir, bool *confined)
{
	struct landlock_ruleset_attr ruleset = {
		.handled_access_fs = LANDLOCK_CHANGES | LANDLOCK_ACCESS_FS_EXECUTE,
	};
	struct landlock_path_beneath_attr below = {
		.allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
				  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK,
		.parent_fd = -1,
	};
	long rules;
	int err = 0;

	*confined = false;
	rules = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0u);
	if (rules < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	below.parent_fd = open(writable_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (below.parent_fd < 0 ||
	    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0u) < 0 ||
	    syscall(SYS_landlock_restrict_self, rules, 0u) < 0)
		err = -errno;
	*confined = err == 0;
	if (below.parent_fd >= 0)
		(void)close(below.parent_fd);
	(void)close((int)rules);
	return err;
}

static int filter_syscalls(void)
{
	static const int allowed[] = {
		/* the loop and its sockets */
		SCMP_SYS(epoll_wait),
		SCMP_SYS(epoll_pwait),
		SCMP_SYS(epoll_pwait2),
		SCMP_SYS(epoll_ctl),
		SCMP_SYS(poll),
		SCMP_SYS(ppoll),
		SCMP_SYS(recvfrom),
		SCMP_SYS(recvmsg),
		SCMP_SYS(recvmmsg),
		SCMP_SYS(sendto),
		SCMP_SYS(sendmsg),
		SCMP_SYS(accept4),
		SCMP_SYS(getsockopt),
		SCMP_SYS(setsockopt),
		SCMP_SYS(read),
		SCMP_SYS(readv),
		SCMP_SYS(write),
		SCMP_SYS(writev),
		SCMP_SYS(close),
		SCMP_SYS(shutdown),
		SCMP_SYS(fcntl),
		SCMP_SYS(getpeername),
		SCMP_SYS(getsockname),
		/* time and timers */
		SCMP_SYS(timerfd_create),
		SCMP_SYS(timerfd_settime),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(gettimeofday),
		SCMP_SYS(time),
		SCMP_SYS(clock_nanosleep),
		/* signals, memory, threads of the C library */
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(brk),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(mprotect),
		SCMP_SYS(madvise),
		SCMP_SYS(futex),
		SCMP_SYS(getrandom),
		SCMP_SYS(getpid),
		SCMP_SYS(gettid),
		SCMP_SYS(getuid),
		SCMP_SYS(geteuid),
		SCMP_SYS(getgid),
		SCMP_SYS(getegid),
		SCMP_SYS(tgkill),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		SCMP_SYS(restart_syscall),
		SCMP_SYS(sched_yield),
		/* configuration reload, state file, own socket's removal */
		SCMP_SYS(openat),
		SCMP_SYS(newfstatat),
		SCMP_SYS(fstat),
		SCMP_SYS(lseek),
		SCMP_SYS(rename),
		SCMP_SYS(renameat),
		SCMP_SYS(renameat2),
		SCMP_SYS(unlink),
		SCMP_SYS(unlinkat),
		SCMP_SYS(fsync),
		SCMP_SYS(fdatasync),
		SCMP_SYS(ioctl),
		/* the thread that asks rpcbind */
		SCMP_SYS(clone),
		SCMP_SYS(clone3),
		SCMP_SYS(set_robust_list),
		SCMP_SYS(rseq),
		SCMP_SYS(sigaltstack),
		SCMP_SYS(eventfd2),
		SCMP_SYS(connect),
		SCMP_SYS(prlimit64),
		SCMP_SYS(sysinfo),
		SCMP_SYS(sched_getaffinity),
		SCMP_SYS(uname),
	};
	static const scmp_datum_t families[] = { AF_NETLINK, AF_UNIX, AF_INET, AF_INET6 };
	scmp_filter_ctx filter;
	int err = 0;

	/*
	 * Unknown calls fail rather than kill: a C library that tries a newer call first falls
	 * back, and a firewall daemon that dies closes every pinhole.
	 */
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	for (size_t i = 0; err == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	/* Netlink and unix sockets, and TCP to the local rpcbind: no raw ones, no others. */
	for (size_t i = 0; err == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
		    SCMP_A0(SCMP_CMP_EQ, families[i]),
		    SCMP_A1(SCMP_CMP_MASKED_EQ, families[i] == AF_NETLINK ? 0 : 0xf,
			families[i] == AF_NETLINK ? 0 : SOCK_STREAM));
	/* sd_notify(3) writes datagrams. */
	if (err == 0)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
		    SCMP_A0(SCMP_CMP_EQ, AF_UNIX), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM));
	if (err == 0)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bind), 0);
	if (err == 0)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int privs_drop(const char *writable_dir, bool *confined)
{
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	err = drop_capabilities();
	if (err == 0)
		err = confine_files(writable_dir, confined);
	if (err == 0)
		err = filter_syscalls();
	return err;
}
