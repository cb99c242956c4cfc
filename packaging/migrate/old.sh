# SPDX-License-Identifier: MIT
# Goal: what hbbs and hbbr are on this host: their units or Compose services, directories and
# settings. Read by migrate.sh, which sets root, scratch and shared, and has die().
# shellcheck shell=sh
# shellcheck disable=SC2154 # those

tab=$(printf '\t')
OLD_ID='hbbs rustdesk-hbbs rustdesksignal'
OLD_RELAY='hbbr rustdesk-hbbr rustdeskrelay'
OLD_UNITS="$OLD_ID $OLD_RELAY"

# --- units

# The directories of units, the lowest first.
unit_files()
{
	for place in lib usr/lib usr/local/lib run etc; do
		file=$root/$place/systemd/system/$1.service
		[ ! -f "$file" ] || printf '%s\n' "$file"
	done | tail -n 1
	for place in lib usr/lib usr/local/lib run etc; do
		for file in "$root/$place/systemd/system/$1.service.d"/*.conf; do
			[ ! -f "$file" ] || printf '%s\n' "$file"
		done
	done
}

has_unit()
{
	[ -n "$(unit_files "$1")" ]
}

# Another name of one of the old units?
is_alias()
{
	file=$(readlink -f "$(unit_files "$1" | head -n 1)")
	file=${file##*/}
	case " $OLD_UNITS " in
	*" ${file%.service} "*) [ "${file%.service}" != "$1" ] ;;
	*) return 1 ;;
	esac
}

# unit_values NAME KEY: all that the unit's files say, one a line, since an empty one
unit_values()
{
	unit_files "$1" | while IFS= read -r file; do
		cat "$file"
		echo
	done | awk -v key="$2" '
		{ sub(/\r$/, "") }
		/^[ \t]*[#;]/ { next }
		/\\$/ { sub(/\\$/, " "); held = held $0; next }
		{ line = held $0; held = "" }
		match(line, "^[ \t]*" key "[ \t]*=[ \t]*") {
			line = substr(line, RLENGTH + 1)
			sub(/[ \t]+$/, "", line)
			if (line == "") n = 0; else value[n++] = line
		}
		END { for (i = 0; i < n; i++) print value[i] }'
}

# pick_unit NAME...: the one that runs, else the one that is enabled, else the first that is there.
pick_unit()
{
	set -- "$(those is_running "$@")" "$(those is_enabled "$@")" "$(those true "$@")"
	case $1 in
	*" "?*) die "these run at the same time: ${1% }: stop those that rdsrv isn't to replace" ;;
	esac
	for unit in $1 $2 $3; do
		echo "$unit"
		return
	done
}

# Nothing where there is none, or one that only systemd can tell (%).
directory_of_unit()
{
	[ -z "$1" ] || unit_values "$1" WorkingDirectory | tail -n 1 |
		sed "/%/d; s|^-*|$root|; s|/*\$||"
}

# As words, one a line; quotes and backslashes as systemd and shells know them.
split_words()
{
	xargs -r -n 1 printf '%s\n' 2>/dev/null || : >"$scratch/unmatched"
}

# What settings.awk reads, of a unit.
unit_words()
{
	unit_values "$1" EnvironmentFile | sed 's/^-//' | while IFS= read -r file; do
		[ ! -f "$root$file" ] || sed "s/^/E$tab/" "$root$file"
	done
	unit_values "$1" Environment | split_words | sed "s/^/E$tab/"
	unit_values "$1" ExecStart | tail -n 1 | sed 's/^[-@:+!]*//' | split_words
}

# --- Compose files

is_compose()
{
	case $1 in
	*.yml | *.yaml) [ -f "$1" ] ;;
	*) return 1 ;;
	esac
}

# The file that Compose takes in this directory by itself, if it runs hbbs or hbbr.
compose_file_in()
{
	for file in "$1/compose.yaml" "$1/compose.yml" "$1/docker-compose.yml" \
		"$1/docker-compose.yaml"; do
		[ -f "$file" ] || continue
		! grep -qE 'hbbs|hbbr|rustdesk-server' "$file" || echo "$file"
		return
	done
}

has_docker_compose()
{
	docker compose version >/dev/null 2>&1
}

# With -f, Compose would leave out docker-compose.override.yml and the like.
compose()
{
	[ "$compose_file" = "$(compose_file_in "${compose_file%/*}")" ] ||
		set -- -f "$compose_file" "$@"
	(
		cd "${compose_file%/*}" || exit
		if has_docker_compose; then docker compose "$@"; else docker-compose "$@"; fi
	)
}

# The services' lines; Docker knows best what the file means.
read_compose()
{
	if has_docker_compose || command -v docker-compose >/dev/null; then
		compose config >"$scratch/config" 2>"$scratch/why" ||
			die "docker compose config refuses $compose_file: $(cat "$scratch/why")"
	else
		cat "$compose_file" >"$scratch/config"
	fi
	awk -f "$shared/compose.awk" "$scratch/config" >"$scratch/compose"
	# To each service: its words, its mounts, and how hbbs and hbbr get theirs.
	cut -f 1 "$scratch/compose" | sort -u | while IFS= read -r service; do
		awk -F '\t' -v service="$service" '$1 == service' "$scratch/compose" >"$scratch/one"
		{
			sed -n "s/^[^$tab]*${tab}env$tab/E$tab/p" "$scratch/one"
			sed -n "s/^[^$tab]*${tab}command$tab//p" "$scratch/one" | split_words
			sed -n "s/^[^$tab]*${tab}word$tab//p" "$scratch/one"
		} >"$scratch/words"
		mounted=/root
		case $(sed "/^E$tab/d" "$scratch/words" | head -n 1) in
		hbbs | */hbbs) kind=id ;;
		hbbr | */hbbr) kind=relay ;;
		'')
			grep -q "^E${tab}RELAY=" "$scratch/words" || continue
			supervised
			mounted=/data
			;;
		*) continue ;;
		esac
		[ "$kind" = both ] || cp "$scratch/words" "$scratch/$kind.words"
		[ "$kind" != both ] || kind=id
		sed -n "s/^[^$tab]*${tab}volume$tab//p" "$scratch/one" >"$scratch/$kind.mounts"
		sed -n "s|:$mounted/*\\(:.*\\)*\$||p" "$scratch/$kind.mounts" | head -n 1 \
			>>"$scratch/$kind.data"
	done
	from=$(mounted_directory id hbbs)
	relay_dir=$(mounted_directory relay hbbr)
	[ -f "$scratch/id.words" ] || from=$relay_dir
	[ -n "$from" ] || die "$compose_file: no service of hbbs whose data directory is mounted"
}

# mounted_directory ROLE PROGRAM
mounted_directory()
{
	data=$(sort -u "$scratch/$1.data" 2>/dev/null || true)
	case $data in
	*"
"*) die "$compose_file: several services of $2 have directories of their own: keep one" ;;
	'' | /*) echo "$data" ;;
	[!.~]*)
		die "$compose_file: the data of $2 is in the volume $data: take the services" \
			"down, and name the directory that docker volume inspect shows as" \
			"Mountpoint (docker volume ls has the volume's whole name)"
		;;
	*) echo "${compose_file%/*}/$data" ;;
	esac
}

# Where a path in the container of hbbs is on the host, if it is mounted.
on_host()
{
	awk -F : -v path="$1" -v here="${compose_file%/*}" '
		{ target = $2; sub(/\/+$/, "", target) }
		index(path "/", target "/") == 1 && length(target) >= best {
			best = length(target)
			found = ($1 ~ /^\// ? "" : here "/") $1 substr(path, best + 1)
		}
		END { print found }' "$scratch/id.mounts"
}

# The image with both in one container, told by its environment.
supervised()
{
	kind=both
	key=$(sed -n "s/^E${tab}ENCRYPTED_ONLY=1\$/-k _/p" "$scratch/words")
	{
		cat "$scratch/words"
		sed -n "s/^E${tab}RELAY=/hbbs\n-r\n/p" "$scratch/words"
	} >"$scratch/id.words"
	{
		echo hbbr
		# shellcheck disable=SC2086 # two words, or none
		[ -z "$key" ] || printf '%s\n' $key
	} >"$scratch/relay.words"
}

# --- settings

# Of role $1, from its words and the files in its directory $2, to $scratch/$1.settings.
read_settings()
{
	program=hbbs
	[ "$1" = id ] || program=hbbr
	[ ! -f "$scratch/unmatched" ] ||
		die "$program: a quote without end in its command line or environment:" \
			"correct that first"
	sed "/^E$tab/d" "$scratch/$1.words" | awk -v program="$program" '
		found { print }
		$0 ~ "(^|/)" program "$" { found = 1 }
		END { exit !found }' >"$scratch/line" ||
		die "the command of ${unit:-its service} doesn't name $program, but" \
			"$(sed "/^E$tab/d" "$scratch/$1.words" | head -n 1): have it start" \
			"$program under that name first"
	{
		sed -n "/^E$tab/p" "$scratch/$1.words"
		[ ! -f "$2/.env" ] || sed "s/^/D$tab/" "$2/.env"
		file=$(sed "s/^/W$tab/" "$scratch/line" |
			awk -v role="$1" -f "$shared/settings.awk" | sed -n "s/^config$tab//p")
		case $file in
		'') ;;
		/*) sed "s/^/C$tab/" "$root$file" ;;
		*) sed "s/^/C$tab/" "$2/$file" ;;
		esac
		sed "s/^/W$tab/" "$scratch/line"
	} | awk -v role="$1" -f "$shared/settings.awk" >"$scratch/$1.settings"
	why=$(sed -n "s/^!$tab//p" "$scratch/$1.settings" | head -n 1)
	[ -z "$why" ] || die "$program: $why: correct that first"
}

# has ROLE NAME, value ROLE NAME
has()
{
	[ -f "$scratch/$1.settings" ] && grep -q "^$2$tab" "$scratch/$1.settings"
}

value()
{
	! has "$1" "$2" || sed -n "s/^$2$tab//p" "$scratch/$1.settings"
}

# Which key a role asks for: "files", "none", or a text.
key_of()
{
	key=$(value "$1" key)
	case $1,$key in
	*,- | *,_) echo files ;;
	id,) if has id key; then echo none; else echo files; fi ;;
	relay,) echo none ;;
	*) if [ "$key" = "$public" ]; then echo files; else echo "$key"; fi ;;
	esac
}

# The one key setting of both, to $scratch/key, if there must be one.
merge_keys()
{
	key=files
	[ ! -f "$scratch/relay.settings" ] || key=$(key_of relay)
	relay_key=$key
	[ ! -f "$scratch/id.settings" ] || key=$(key_of id)
	if [ "$relay_key" != "$key" ] && [ -f "$scratch/relay.settings" ]; then
		[ "$relay_key" = none ] || die "hbbs and hbbr ask for different keys (-k):" \
			"give them the same first"
		note="hbbr asked for no key, rdsrv's relay does: devices that have no key in"
		note="$note their settings can't be reached through it"
	fi
	case $key in
	files) ;;
	none) printf 'key\t\n' ;;
	*) printf 'key\t%s\n' "$key" ;;
	esac >"$scratch/key"
	if [ "${#key}" -eq 88 ]; then
		die "a secret key is in hbbs's command line or environment: put it into a file" \
			"and import it with rdsrv keygen --data-dir $from --import FILE, and take" \
			"it out of there"
	fi
}

# Both roles' settings as one text, lines "name = value".
merge_settings()
{
	for name in bind port log-level; do
		if has id $name && has relay $name &&
			[ "$(value id $name)" != "$(value relay $name)" ]; then
			die "hbbs and hbbr have different values of $name: make them the same first"
		fi
	done
	merge_keys
	port=$(value id port)
	{
		printf 'data-dir\t%s\n' /var/lib/rdsrv
		cat "$scratch/key"
		cat "$scratch/id.settings" "$scratch/relay.settings" 2>/dev/null |
			grep -vE "^(key|config|db-url)$tab" |
			grep -vx "relay-port$tab$((${port:-21116} + 1))" |
			sort -u
	} | sed "s/$tab/ = /" >"$scratch/conf"
}
