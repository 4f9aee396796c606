# Completion of `mary` in bash: verbs, options and files. It asks the command itself, so that it knows what this version knows.
_mary() {
    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]-}
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help 2>/dev/null | sed -nE 's/^  ([a-z]+)  +[a-z].*/\1/p') --help --version" -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" "$verb" --help 2>/dev/null |
            sed -nE 's/^ +(-[a-zA-Z], )?(--[a-z0-9-]+).*/\2/p')" -- "$word")
    fi
}
complete -o default -o bashdefault -F _mary mary
