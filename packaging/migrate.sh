#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: rdsrv takes over from hbbs and hbbr on this host: key, peers, lists and settings; --back
# returns to them. Their directory stays as it is, and nothing in /var/lib/rdsrv is overwritten.
#
# usage: rdsrv-migrate [--yes] [--dry-run] [DIRECTORY | COMPOSE_FILE]
#        rdsrv-migrate --back [--yes] [--dry-run]
#
#   --yes        don't ask
#   --dry-run    say what would be done, and do nothing
#   --back       stop rdsrv, and start what it took over from
#   --root DIR   for tests and images: all paths are below DIR
#
# DIRECTORY holds id_ed25519 or db_v2.sqlite3; without one it is looked for. See rdsrv-migrate(8).
set -eu
umask 077

self=$(readlink -f "$0")
shared=${self%/*}/migrate
root=
yes=
dry_run=
word=forth
given=
note=
compose_file=
id_unit=
relay_unit=
OURS='rdsrv rdsrv-id rdsrv-relay'
BEGIN_MARK='# --- taken over from hbbs by rdsrv-migrate'
END_MARK='# --- end of what was taken over'

usage()
{
	sed -n '3,${/^#/!q; s/^# \{0,1\}//; p;}' "$self"
}

say()
{
	echo "rdsrv-migrate: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

wrong_use()
{
	say "$*"
	exit 2
}

# shellcheck source=packaging/migrate/old.sh
. "$shared/old.sh"

# --- what is there

holds_server()
{
	[ -f "$1/id_ed25519" ] || [ -f "$1/db_v2.sqlite3" ]
}

known_directories()
{
	for place in /var/lib/rustdesk /var/lib/rustdesk-server /opt/rustdesk-server/data; do
		! holds_server "$root$place" || (cd "$root$place" && pwd -P)
	done | sort -u
}

look_for_directory()
{
	for unit in "$id_unit" "$relay_unit"; do
		from=$(directory_of_unit "$unit")
		if [ -n "$from" ] && { holds_server "$from" || [ -z "$id_unit" ]; }; then
			return
		fi
	done
	from=$(known_directories)
	[ "$(echo "$from" | wc -l)" -eq 1 ] || wrong_use "several directories hold a server:" \
		"name one of $(echo "$from" | tr '\n' ' ')"
	[ -n "$from" ] || look_for_compose "$(pwd -P)" "no server of hbbs in the usual places:" \
		"name its directory or Compose file"
}

# look_for_compose DIR WHY...
look_for_compose()
{
	compose_file=$(compose_file_in "$1")
	shift
	[ -n "$compose_file" ] || die "$@"
	read_compose
}

# From which directory, and what runs there.
look()
{
	if is_compose "$given"; then
		compose_file=$(readlink -f "$given")
		read_compose
	elif [ -n "$given" ] && ! holds_server "$given"; then
		look_for_compose "$(readlink -f "$given")" "$given: neither id_ed25519 nor" \
			"db_v2.sqlite3 is there, nor a Compose file"
	else
		id_unit=$(pick_unit id)
		relay_unit=$(pick_unit relay)
		from=$given
		[ -n "$from" ] || look_for_directory
	fi
	[ -d "$from" ] || die "$from: no such directory"
	from=$(cd "$from" && pwd -P)
	[ "$from" != "$target" ] || die "$from is rdsrv's own directory: nothing to take over"
	# A directory beside a Compose file is mounted by that.
	[ -n "$id_unit$relay_unit$compose_file" ] || [ -z "$(compose_file_in "${from%/*}")" ] ||
		look_for_compose "${from%/*}"
}

read_roles()
{
	relay_dir=$from
	for role in id relay; do
		eval "unit=\$${role}_unit"
		[ -z "$unit" ] || unit_words "$unit" >"$scratch/$role.words"
		[ "$role,$unit" = "relay," ] || [ "$role" = id ] ||
			relay_dir=$(directory_of_unit "$unit")
		[ -d "$relay_dir" ] || relay_dir=$from
		dir=$from
		[ "$role" = id ] || dir=$relay_dir
		[ ! -f "$scratch/$role.words" ] || read_settings "$role" "$dir"
	done
	new=rdsrv
	[ -f "$scratch/relay.words" ] || [ ! -f "$scratch/id.words" ] || new="rdsrv-id"
	[ -f "$scratch/id.words" ] || [ ! -f "$scratch/relay.words" ] || new="rdsrv-relay"
}

database()
{
	file=$(value id db-url | sed 's/^sqlite:\(\/\/\)\{0,1\}//; s/?.*//')
	case ${file:-db_v2.sqlite3} in
	/*) echo "$root$file" ;;
	*) echo "$from/${file:-db_v2.sqlite3}" ;;
	esac
}

public_key()
{
	[ ! -f "$1/id_ed25519" ] || "$rdsrv" keygen --data-dir "$1" --public 2>"$scratch/why" ||
		die "$(tail -n 1 "$scratch/why")"
}

# Also one that is about to start again, after a failure.
is_running()
{
	case $(systemctl is-active "$1.service" 2>/dev/null) in
	active | activating | reloading | deactivating) ;;
	*) return 1 ;;
	esac
}

is_enabled()
{
	systemctl --quiet is-enabled "$1.service" 2>/dev/null
}

# Those of the old units for which is_running, or is_enabled.
old_units()
{
	for unit in $id_unit $relay_unit; do
		! "$1" "$unit" || printf '%s ' "$unit"
	done
}

is_live()
{
	[ -n "$active" ] || { [ -n "$compose_file" ] && [ ! -f "$state" ]; }
}

# --- before anything is done

# Lines of settings that say other than what is taken over.
contradicting()
{
	awk '
		{ at = index($0, "="); name = tolower(substr($0, 1, at - 1)) }
		{ value = substr($0, at + 1); gsub(/[ \t]/, "", name); gsub(/_/, "-", name) }
		{ gsub(/^[ \t]+|[ \t]+$/, "", value) }
		FNR == NR { ours[name] = value; next }
		name in ours && ours[name] != value' "$scratch/conf" -
}

check()
{
	has_unit "$new" || die "$new.service is not there: install rdsrv with its units first"
	owner=$(awk -F: '$1 == "rdsrv" { print $3 ":" $4 }' "$root/etc/passwd")
	[ -n "$owner" ] || die "there is no user rdsrv: run systemd-sysusers"
	there=$(public_key "$target")
	[ -z "$there" ] || [ "$there" = "$public" ] ||
		die "$target has another key, $there, than $from: if no client uses it, move" \
			"that directory away and run this again"
	[ ! -f "$db" ] || "$rdsrv" copy-db "$db" "$scratch/db" >/dev/null 2>"$scratch/why" ||
		die "$(cat "$scratch/why")"
	rm -f "$scratch/db"
	role=${new#rdsrv}
	role=${role#-}
	(cd "$scratch" && env -i "PATH=$PATH" "$rdsrv" "${role:-serve}" --data-dir . \
		--config conf --test-config) >/dev/null 2>"$scratch/why" ||
		die "$(tail -n 1 "$scratch/why")"
	without_block | contradicting >"$scratch/other"
	[ ! -s "$scratch/other" ] ||
		die "$conf says \"$(head -n 1 "$scratch/other")\", hbbs something else:" \
			"remove that line"
}

plan()
{
	cat <<PLAN
rdsrv takes over from ${compose_file:-${id_unit:-hbbs}${relay_unit:+ and $relay_unit}}:

  key          ${public:-(there is none)}
  copied       from $from to $target:
               $(cd "$from" && file_names | tr '\n' ' ')
               the database: $([ -f "$db" ] && echo "$db" || echo none)
  settings     in $conf:
$(sed 's/^/               /' "$scratch/conf")
  stopped      ${compose_file:-${active:-(none runs)}}
  disabled     ${compose_file:-${enabled:-(none is enabled)}}
  started      $new.service
PLAN
	[ -z "$note" ] || printf '\n  note         %s\n' "$note"
	printf '\n%s stays as it is; rdsrv-migrate --back returns to it.\n' "$from"
}

confirm()
{
	[ -z "$dry_run" ] || exit 0
	[ -z "$yes" ] || return 0
	[ -t 0 ] || wrong_use "there is no terminal to ask on: say --yes, or --dry-run"
	printf 'Go on? [y/N] '
	read -r answer || answer=
	case $answer in
	y | Y | yes) ;;
	*) die "nothing was done" ;;
	esac
}

# --- copying

file_names()
{
	for name in id_ed25519 id_ed25519.pub keyring.json keygen.log server.conf \
		id_ed25519.bak.* id_ed25519.pub.bak.* blocklist.txt blacklist.txt; do
		[ ! -f "$from/$name" ] && [ ! -f "$relay_dir/$name" ] || echo "$name"
	done
}

# put FILE: a new file of $target gets its owner, is synced and named, in that order.
put()
{
	chown "$owner" "$1"
	sync "$1"
	mv "$1" "$target/$2"
}

copy_files()
{
	cd "$from"
	file_names | while IFS= read -r name; do
		file=$from/$name
		[ -f "$file" ] || file=$relay_dir/$name
		if [ -e "$target/$name" ]; then
			cmp -s "$file" "$target/$name" || say "$target/$name is there, and stays"
			continue
		fi
		cp "$file" "$target/.$name.$$"
		case $name in
		*.pub | *.pub.bak.* | *.txt | server.conf) chmod 644 "$target/.$name.$$" ;;
		esac
		put "$target/.$name.$$" "$name"
	done
	cd /
}

# What runs now has the newer peers. Those of an earlier time are kept beside them.
copy_database()
{
	[ -f "$db" ] || return 0
	if [ -f "$target/db_v2.sqlite3" ] && [ -z "$live" ]; then
		say "$target/db_v2.sqlite3 is there, and stays"
		return
	fi
	peers=$("$rdsrv" copy-db "$db" "$target/.db.$$")
	aside=$(date +%Y%m%d%H%M%S)
	for end in -wal -shm ''; do
		[ ! -f "$target/db_v2.sqlite3$end" ] ||
			mv "$target/db_v2.sqlite3$end" "$target/db_before_$aside.sqlite3$end"
	done
	put "$target/.db.$$" db_v2.sqlite3
	say "$peers peers are in $target/db_v2.sqlite3"
}

without_block()
{
	[ ! -f "$conf" ] || awk -v begin="$BEGIN_MARK" -v end="$END_MARK" '
		$0 == begin { inside = 1 }
		!inside { print }
		$0 == end { inside = 0 }' "$conf"
}

write_conf()
{
	{
		without_block
		echo "$BEGIN_MARK"
		cat "$scratch/conf"
		echo "$END_MARK"
	} >"$conf.$$"
	chmod 644 "$conf.$$"
	sync "$conf.$$"
	mv "$conf.$$" "$conf"
}

write_state()
{
	{
		echo "# Written by rdsrv-migrate, for rdsrv-migrate --back."
		echo "from$tab$from"
		[ -z "$compose_file" ] || echo "compose$tab$compose_file"
		for unit in $active; do echo "active$tab$unit"; done
		for unit in $enabled; do echo "enabled$tab$unit"; done
	} >"$state.$$"
	sync "$state.$$"
	mv "$state.$$" "$state"
}

# --- stopping and starting

stop_old()
{
	for unit in $enabled; do systemctl disable "$unit.service"; done
	for unit in $active; do systemctl stop "$unit.service"; done
	[ -z "$compose_file" ] || compose down
}

start_old()
{
	for unit in $enabled; do systemctl enable "$unit.service"; done
	for unit in $active; do systemctl start "$unit.service"; done
	[ -z "$compose_file" ] || compose up -d
}

stop_ours()
{
	for unit in $OURS; do
		! is_enabled "$unit" || systemctl disable "$unit.service"
		! is_running "$unit" || systemctl stop "$unit.service"
	done
}

start_new()
{
	systemctl enable "$new.service"
	systemctl start "$new.service" || {
		say "$new.service did not start: see journalctl -u $new"
		return 1
	}
}

# Whatever went wrong: what ran before runs again.
undo()
{
	status=$?
	trap - EXIT
	rm -rf "$scratch"
	[ -n "$stopped" ] || exit "$status"
	say "that failed: going back to what ran before"
	stop_ours || true
	rm -f "$target"/.*."$$" "$conf.$$" "$state.$$" "$state"
	start_old || true
	exit 1
}

forth()
{
	look
	enabled=$(old_units is_enabled)
	active=$(old_units is_running)
	read_roles
	live=
	! is_live || live=yes
	if [ -f "$state" ] && [ -z "$live" ]; then
		say "rdsrv has taken over already, from $(sed -n "s/^from$tab//p" "$state")"
		[ -n "$dry_run" ] || start_new
		return
	fi
	public=$(public_key "$from")
	db=$(database)
	merge_settings
	check
	plan
	confirm
	(umask 022 && mkdir -p "${conf%/*}" "${target%/*}")
	stopped=yes
	stop_ours
	stop_old
	[ -d "$target" ] || mkdir -m 700 "$target"
	chown "$owner" "$target"
	copy_files
	copy_database
	write_conf
	write_state
	start_new
	stopped=
	say "done: clients go on with the key they have; rdsrv-migrate --back returns to hbbs"
}

# --- and back

of_state()
{
	sed -n "s/^$1$tab//p" "$state"
}

back()
{
	[ -f "$state" ] || die "there is nothing to go back to: rdsrv took over from no server here"
	from=$(of_state from)
	compose_file=$(of_state compose)
	active=$(of_state active)
	enabled=$(of_state enabled)
	for unit in $active $enabled; do
		has_unit "$unit" || die "$unit.service is gone: install what it was part of first"
	done
	[ -d "$from" ] || die "$from is gone: there is nothing to go back to"
	[ "$(public_key "$from")" = "$(public_key "$target")" ] ||
		say "the key was changed since: clients that have only the new one are turned away"
	echo "Stops and disables rdsrv; starts $active$compose_file in $from again."
	echo "$target stays. Devices that came since register there by themselves."
	confirm
	stop_ours
	start_old
	rm -f "$state"
	say "done: what was there before runs again"
}

while [ $# -gt 0 ]; do
	case $1 in
	--yes) yes=yes ;;
	--dry-run) dry_run=yes ;;
	--back) word=back ;;
	--root)
		[ $# -gt 1 ] || wrong_use "--root needs a directory"
		root=$(cd "$2" && pwd -P)
		shift
		;;
	--help | -h)
		usage
		exit 0
		;;
	-*) wrong_use "there is no option $1; see --help" ;;
	*)
		[ -z "$given" ] || wrong_use "one directory or Compose file is enough"
		given=$1
		;;
	esac
	shift
done
[ -z "$given" ] || [ "$word" = forth ] || wrong_use "--back takes no directory"
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || die "this needs root: run it with sudo"
rdsrv=$(command -v rdsrv) || die "rdsrv is not on PATH: install it first"
conf=$root/etc/rdsrv/rdsrv.conf
state=$root/etc/rdsrv/migrated-from
target=$root/var/lib/rdsrv
stopped=
scratch=$(mktemp -d)
trap undo EXIT
trap 'exit 1' HUP INT TERM
"$word"
