#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: a copy of the source tree as it is, without what was built: what packages are made from.
#
# usage: sh packaging/tree.sh NEW_DIR
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"

# What git knows, and what it would take; where there is no git, it is a tree that git packed once.
if [ -e .git ]; then
	git ls-files -co --exclude-standard
else
	find . \( -path './build' -o -path './build-*' -o -path ./data \) -prune -o \
		! -type d -print
fi | while IFS= read -r file; do
	[ ! -e "$file" ] || printf '%s\n' "$file"
done | tar -cf - -T - | tar -xf - --no-same-owner -C "$1"
