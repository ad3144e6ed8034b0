# Completion for soquete(1) in bash(1). Options are asked of the tool itself, so they are
# those of the version that is installed.

_soquete_endpoint() {
	local cur=$1

	case $cur in
	unix:///*|unixgram:///*)
		local scheme=${cur%%://*}://
		mapfile -t COMPREPLY < <(compgen -f -P "$scheme" -- "${cur#"$scheme"}")
		compopt -o filenames
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W \
			"tcp:// tls:// udp:// unix:// unixgram:// fd://" -- "$cur")
		compopt -o nospace
		;;
	esac
}

_soquete() {
	local cur prev words cword command services=
	services="http https echo discard daytime chargen time"
	COMPREPLY=()
	if declare -F _init_completion >/dev/null; then
		_init_completion -n := || return
	else
		cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
		words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
	fi

	command=${words[1]}
	if [ "$cword" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"serve connect listen resolve sim ports cert help --version --help" -- "$cur")
		return
	fi

	case $prev in
	--root | -r)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		compopt -o filenames
		return
		;;
	--diagram | --trace | -d | -t)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames
		return
		;;
	--out | --sign | --sign-key | -o | -s)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames
		return
		;;
	--cert | --key | --staple | --crl)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames
		return
		;;
	--ca)
		# That of cert is a name.
		[ "$command" = cert ] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames
		return
		;;
	--clients)
		mapfile -t COMPREPLY < <(compgen -W "needed asked" -- "$cur")
		return
		;;
	--tls-min | --tls-max)
		mapfile -t COMPREPLY < <(compgen -W "1.2 1.3" -- "$cur")
		return
		;;
	--starttls)
		mapfile -t COMPREPLY < <(compgen -W "ftp imap nntp pop3 smtp" -- "$cur")
		return
		;;
	--alpn)
		mapfile -t COMPREPLY < <(compgen -W "http/1.1" -- "$cur")
		return
		;;
	--exec | -e)
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		return
		;;
	--shape)
		if [ "$command" = sim ]; then
			mapfile -t COMPREPLY < <(compgen -W "iterative fiber" -- "$cur")
			return
		fi
		mapfile -t COMPREPLY < <(compgen -W "iterative process thread fiber" -- "$cur")
		return
		;;
	--engine)
		mapfile -t COMPREPLY < <(compgen -W "auto uring epoll" -- "$cur")
		return
		;;
	--workers)
		mapfile -t COMPREPLY < <(compgen -W "auto 1 2 4 8" -- "$cur")
		return
		;;
	--pin | --name | --timeout | -w | --*-timeout | --grace | --keepalive | --*-max | --clients-per-address | \
		--backlog | --unix-mode | --seed | --latency | --jitter | --rate | --mtu | --loss | \
		--lose | --duplicate | --reorder | --partition | --crash | --pause | --limit | --events)
		return
		;;
	esac

	case $command in
	help)
		mapfile -t COMPREPLY < <(compgen -W "serve connect listen resolve sim ports cert help" -- "$cur")
		;;
	serve | connect | listen | resolve | sim | ports | cert)
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W \
				"$("${words[0]}" help "$command" 2>/dev/null | grep -o -- '--[a-z-]*')" \
				-- "$cur")
		elif [ "$command" = serve ] && [[ $cur != *=* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$services" -- "$cur")
		elif [ "$command" = resolve ] && [[ $prev == resolve || $prev == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur")
		elif [ "$command" = resolve ]; then
			mapfile -t COMPREPLY < <(compgen -W \
				"A AAAA CAA CNAME MX NS PTR SOA SRV TXT" -- "${cur^^}")
		elif [ "$command" = ports ]; then
			mapfile -t COMPREPLY < <(compgen -A service -- "$cur")
		elif [ "$command" = cert ]; then
			mapfile -t COMPREPLY < <(compgen -A hostname -W localhost -- "$cur")
		elif [ "$command" = sim ]; then
			mapfile -t COMPREPLY < <(compgen -W \
				"$("${words[0]}" sim 2>/dev/null | sed -n 's/^  \([a-z]*\) .*/\1/p')" \
				-- "$cur")
		elif [ "$command" != serve ]; then
			_soquete_endpoint "$cur"
			declare -F __ltrim_colon_completions >/dev/null &&
				__ltrim_colon_completions "$cur"
		fi
		;;
	esac
}

complete -F _soquete soquete
