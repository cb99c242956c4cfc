# SPDX-License-Identifier: MIT
# Goal: what a command line, files and environment of hbbs (-v role=id) or hbbr (-v role=relay) say,
# as settings of rdsrv: lines NAME<tab>VALUE. What can't be told is a line "!"<tab>WHY.
#
# Reads lines KIND<tab>TEXT: E NAME=value of the environment, D of .env, C of --config; W one word
# of the command line, behind the program's name. E lines come first.

BEGIN {
	program = role == "id" ? "hbbs" : "hbbr"
	split("p port b bind r relay-servers k key R rendezvous-servers s serial u software-url" \
		" M rmem c config", words, " ")
	for (i = 1; i in words; i += 2) {
		if (role == "id" || words[i] ~ /[pbk]/) {
			long_of[words[i]] = words[i + 1]
			is_flag[words[i + 1]] = 1
		}
	}
	if (role == "id")
		is_flag["mask"] = 1
	both = "port bind key log-level"
	id = "relay-servers rendezvous-servers serial software-url rmem mask always-use-relay" \
		" db-url local-ip"
	relay = "single-bandwidth total-bandwidth limit-speed downgrade-threshold" \
		" downgrade-start-check"
	split(both " " (role == "id" ? id : relay), words, " ")
	for (i in words)
		is_setting[words[i]] = 1
	rank_of["E"] = 1
	rank_of["D"] = 2
	rank_of["C"] = 3
}

function complain(why)
{
	print "!\t" why
}

function set(name, value, rank)
{
	if (rank < rank_set[name])
		return
	rank_set[name] = rank
	value_of[name] = value
}

# With what the environment has in the place of $NAME and ${NAME}.
function expanded(text,    out, name)
{
	out = ""
	while (match(text, /\$(\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*)/)) {
		name = substr(text, RSTART + 1, RLENGTH - 1)
		gsub(/[{}]/, "", name)
		if (!(name in environment))
			complain("$" name " is set nowhere that can be read")
		out = out substr(text, 1, RSTART - 1) environment[name]
		text = substr(text, RSTART + RLENGTH)
	}
	return out text
}

function line_of_file(text, rank,    name, value, at)
{
	sub(/\r$/, "", text)
	sub(/^[ \t]+/, "", text)
	at = index(text, "=")
	if (text ~ /^[#;[]/ || at == 0)
		return
	name = substr(text, 1, at - 1)
	value = substr(text, at + 1)
	gsub(/^[ \t]+|[ \t]+$/, "", name)
	gsub(/^[ \t]+|[ \t]+$/, "", value)
	if (value ~ /^".*"$/ || value ~ /^'.*'$/)
		value = substr(value, 2, length(value) - 2)
	if (rank == 1)
		environment[name] = value
	name = tolower(name)
	gsub(/_/, "-", name)
	if (name == "rust-log" && rank == 1 && value ~ /^(error|warn|info|debug|trace)$/)
		name = "log-level"
	else if (name == "log-level")
		return
	if (name in is_setting)
		set(name, value, rank)
}

function flag(name, value)
{
	if (!(name in is_flag))
		complain("there is no option --" name " of " program)
	else
		set(role == "relay" && name == "port" ? "relay-port" : name, expanded(value), 4)
}

function word(text,    name, at)
{
	if (wanted != "") {
		name = wanted
		wanted = ""
		flag(name, text)
	} else if (text ~ /^--./) {
		at = index(text, "=")
		if (at > 0)
			flag(substr(text, 3, at - 3), substr(text, at + 1))
		else
			wanted = substr(text, 3)
	} else if (text ~ /^-./) {
		name = substr(text, 2, 1)
		text = substr(text, 3)
		sub(/^=/, "", text)
		if (!(name in long_of))
			complain("there is no option -" name " of " program)
		else if (length($0) == 4)
			wanted = long_of[name]
		else
			flag(long_of[name], text)
	} else {
		complain("\"" text "\" in its command line is no option")
	}
}

{
	kind = substr($0, 1, 1)
	text = substr($0, 3)
}

kind == "W" { word(text) }
kind != "W" { line_of_file(text, rank_of[kind]) }

END {
	if (wanted != "")
		complain("its option --" wanted " has no value")
	for (name in value_of)
		print name "\t" value_of[name]
}
