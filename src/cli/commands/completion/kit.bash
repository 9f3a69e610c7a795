# Completes `kit` in bash: asks the program what could come next.

_kit() {
    local line=${COMP_LINE:0:COMP_POINT} c='' quote='' word='' begun='' cut=0 i
    local words=()
    # Split as the shell would: COMP_WORDS is cut at the colons of names, too.
    for ((i = 0; i < ${#line}; i++)); do
        c=${line:i:1}
        if [[ $quote == "'" ]]; then
            [[ $c == "'" ]] && quote='' || word+=$c
        elif [[ $c == \\ ]]; then
            i=$((i + 1))
            word+=${line:i:1} begun=1
        elif [[ $quote ]]; then
            [[ $c == '"' ]] && quote='' || word+=$c
        elif [[ $c == [\'\"] ]]; then
            quote=$c begun=1
        elif [[ $c == [[:space:]] ]]; then
            [[ $begun ]] && words+=("$word")
            word='' begun='' cut=0
        else
            # Bash replaces only what stands behind the last of these.
            word+=$c begun=1
            [[ $COMP_WORDBREAKS == *"$c"* ]] && cut=${#word}
        fi
    done
    words+=("$word")
    # A tilde is not expanded yet.
    words=("${words[@]/#\~\//$HOME/}")

    COMPREPLY=()
    local candidate directive=4
    while IFS= read -r candidate; do
        case $candidate in
            :*) directive=${candidate#:} ;;
            "$word"*) COMPREPLY+=("${candidate:cut}") ;;
        esac
    done < <("${words[0]}" __completeNoDesc "${words[@]:1}" 2>/dev/null)
    if ! type -t compopt >/dev/null; then
        return # before bash 4: see below
    fi
    case $directive in
        0) compopt -o default 2>/dev/null ;;
        16) compopt -o dirnames 2>/dev/null ;;
    esac
    return 0
}

if type -t compopt >/dev/null; then
    complete -F _kit kit
else
    complete -o default -F _kit kit
fi
