#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: Debian's ufw and firewalld take the files of packaging/firewall, and check sees what a ufw
# closes, in network namespaces. Both are installed where they are missing, and not enabled.
set -eu
cd "$(dirname "$0")/../.."
title=firewall
. test/full/helpers/common.sh
. test/full/helpers/programs.sh

[ "$(id -u)" -eq 0 ] || skip 'takes root'
need_programs ufw firewall-offline-cmd:firewalld
for kind in ufw firewalld; do
	expect "$kind" passes "$kind" test/e2e/test_firewall.py test/e2e/test_check_firewall.py
done
exit $failed
