#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: what a bench that images Windows machines needs of this server stands in one directory: a
# mounted stick (Ventoy's data partition, say), or the tree that images are made of.
#
# usage: sh stick.sh DIR [options of `rdsrv export-conf`...]
#
#   DIR/rustdesk/                   all forms of `rdsrv export-conf --bundle`, and SetupComplete.cmd
#   DIR/windows/rustdesk/server.conf   for bundles that are laid out so
#
# Run again after a rotation, it writes them anew. README.md beside this says how they get further.
set -eu
here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)

die()
{
	echo "stick.sh: $*" >&2
	exit "${code:-1}"
}

case ${1:-} in
'' | -*)
	code=2
	die 'usage: sh stick.sh DIR [options of rdsrv export-conf...]'
	;;
esac
[ -d "$1" ] || die "$1: no such directory; mount the stick, or correct the name"
dir=$(CDPATH='' cd -- "$1" && pwd)
shift

rdsrv=${RDSRV:-$(command -v rdsrv || true)}
[ -n "$rdsrv" ] || rdsrv=$here/../../build/rdsrv
[ -x "$rdsrv" ] || die "no rdsrv on PATH, and no $rdsrv: install it, or name it with RDSRV"

# Whoever has the key may use the relay, and names and addresses of a network are its owner's: they
# are for no repository. Root, who runs this mostly, is told nothing of another user's repository
# unless it is called safe, which Git before 2.38 takes from its settings only.
git_there()
{
	LC_ALL=C git -c safe.directory='*' -C "$dir" "$@"
}
# Git's word on whether it is in one. Where it can't tell, the stick isn't written.
is_inside()
{
	git_there rev-parse --is-inside-work-tree 2>/dev/null && return
	why=$(git_there rev-parse --is-inside-work-tree 2>&1) || true
	case $why in
	*'not a git repository'*) ;;
	*safe.directory*)
		die "$dir is in another user's Git repository, of which Git tells nothing: run this as" \
			"that user, or say git config --global --add safe.directory with the repository's" \
			"directory"
		;;
	*) die "Git can't tell whether $dir is in a repository; mend that first: $why" ;;
	esac
}
if command -v git >/dev/null; then
	inside=$(is_inside)
	[ "$inside" != true ] || for name in rustdesk windows/rustdesk; do
		git_there check-ignore -q "$name/server.conf" ||
			die "$dir is in a Git repository, which does not ignore $name/: add it to" \
				"$dir/.gitignore first"
	done
fi

"$rdsrv" export-conf "$@" --bundle "$dir/rustdesk"
mkdir -p "$dir/windows/rustdesk"
"$rdsrv" export-conf "$@" --crlf --output "$dir/windows/rustdesk/server.conf" 2>/dev/null ||
	die "$dir/windows/rustdesk/server.conf could not be written"
sed 's/$/\r/' "$here/SetupComplete.cmd" >"$dir/rustdesk/.SetupComplete.cmd"
mv "$dir/rustdesk/.SetupComplete.cmd" "$dir/rustdesk/SetupComplete.cmd"

# What was written is read back: a stick may be full, or at its end.
sync
for file in rustdesk/server.conf rustdesk/RustDesk2.toml rustdesk/config-string.txt \
	windows/rustdesk/server.conf; do
	said=$("$rdsrv" export-conf "$@" --check "$dir/$file" 2>&1) || die "$dir/$file: $said"
done
echo "stick.sh: wrote $dir/rustdesk and $dir/windows/rustdesk, and read them back"
