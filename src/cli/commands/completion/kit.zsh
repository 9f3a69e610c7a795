#compdef kit
# Completes `kit` in zsh: asks the program what could come next.

_kit() {
    local line value description directive=4
    local -a lines candidates
    local program=${(Q)words[1]}
    lines=("${(@f)$("${program/#\~\//$HOME/}" __complete "${(@)${(@Q)words[2,CURRENT-1]}/#\~\//$HOME/}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in "${(@)lines}"; do
        if [[ -z $line ]]; then
            continue
        elif [[ $line == :* ]]; then
            directive=${line#:}
        else
            value=${line%%$'\t'*}
            description=''
            [[ $line == *$'\t'* ]] && description=${line#*$'\t'}
            # A colon ends what is inserted.
            candidates+=("${value//:/\\:}${description:+:$description}")
        fi
    done
    if (( $#candidates )); then
        _describe -t kit 'kit' candidates
        return
    fi
    if [[ $directive != 4 && $PREFIX == --*=* ]]; then
        compset -P '*='
    fi
    case $directive in
        0) _files ;;
        16) _files -/ ;;
    esac
}

# Read by `source`, or called as a function that zsh found in $fpath.
if [[ $funcstack[1] == _kit ]]; then
    _kit "$@"
else
    compdef _kit kit
fi
