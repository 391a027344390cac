# SPDX-License-Identifier: GPL-2.0-or-later
"""The laboratory of the tests: namespaces, firewalls, FTP servers and clients, and pinholed in it.

Python's standard library only. Nothing here touches the host's addresses, rules or users: what is
made lives in namespaces named phl-PID-* and in one temporary directory, and goes with them.
"""
