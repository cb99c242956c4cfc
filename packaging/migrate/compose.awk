# SPDX-License-Identifier: MIT
# Goal: from a Compose file, what its services run, as lines SERVICE<tab>KIND<tab>VALUE:
#   command  a command line          word     one word of a command
#   env      NAME=value              volume   SOURCE:TARGET
# Reads the forms of YAML in which Compose files are written, and those of `docker compose config`.

function unquote(text)
{
	sub(/^[ \t]+/, "", text)
	if (text ~ /^"/ || text ~ /^'/) {
		quote = substr(text, 1, 1)
		text = substr(text, 2)
		sub(quote "[ \t]*(#.*)?$", "", text)
		return text
	}
	sub(/[ \t]+#.*$/, "", text)
	sub(/[ \t]+$/, "", text)
	return text
}

function say(kind, value)
{
	printf "%s\t%s\t%s\n", service, kind, value
}

# [a, "b c", 'd']
function flow(text,    n, c, i, item, in_quote, was_quoted)
{
	item = in_quote = ""
	for (i = 2; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (in_quote != "") {
			if (c == in_quote)
				in_quote = ""
			else
				item = item c
		} else if (c == "\"" || c == "'") {
			in_quote = c
			was_quoted = 1
		} else if (c == "," || c == "]") {
			gsub(/^[ \t]+|[ \t]+$/, "", item)
			if (item != "" || was_quoted)
				say("word", item)
			item = was_quoted = ""
			if (c == "]")
				return
		} else if (c !~ /[ \t]/ || item != "") {
			item = item c
		}
	}
}

function end_folded()
{
	if (folded != "")
		say("command", folded)
	folded = ""
	is_folded = 0
}

function end_volume()
{
	if (source != "" && target != "")
		say("volume", source ":" target)
	source = target = ""
}

function environment(text,    name)
{
	if (text ~ /^- /)
		say("env", unquote(substr(text, 3)))
	else if (match(text, /^[^ :]+:/)) {
		name = unquote(substr(text, 1, RLENGTH - 1))
		say("env", name "=" unquote(substr(text, RLENGTH + 1)))
	}
}

function volume(text)
{
	if (text ~ /^- /) {
		end_volume()
		text = substr(text, 3)
		if (text !~ /^[a-z_]+:[ \t]/) {
			say("volume", unquote(text))
			return
		}
	}
	if (text ~ /^source:/)
		source = unquote(substr(text, 8))
	else if (text ~ /^target:/)
		target = unquote(substr(text, 8))
}

{
	sub(/\r$/, "")
}

/^[ \t]*(#.*)?$/ { next }

{
	match($0, /^ */)
	indent = RLENGTH
	text = substr($0, indent + 1)
}

indent == 0 {
	end_folded()
	end_volume()
	in_services = (text ~ /^services:/)
	service_indent = key = ""
	next
}

!in_services { next }

service_indent == "" || indent <= service_indent {
	end_folded()
	end_volume()
	service_indent = indent
	service = text
	sub(/:.*/, "", service)
	service = unquote(service)
	key_indent = key = ""
	next
}

# A list's items may stand as far left as its key.
(key_indent == "" || indent <= key_indent) && text !~ /^- / {
	end_folded()
	end_volume()
	key_indent = indent
	key = value = text
	sub(/:.*/, "", key)
	sub(/^[^:]*:[ \t]*/, "", value)
	if (key != "command")
		next
	if (value ~ /^[>|]/)
		is_folded = 1
	else if (value ~ /^\[/)
		flow(value)
	else if (value ~ /^["']/ || unquote(value) != "")
		say("command", unquote(value))
	next
}

key == "command" && is_folded { folded = folded (folded == "" ? "" : " ") text }
key == "command" && !is_folded && text ~ /^- / { say("word", unquote(substr(text, 3))) }
key == "environment" { environment(text) }
key == "volumes" { volume(text) }

END {
	end_folded()
	end_volume()
}
