# Completes `kit` in fish: asks the program what could come next.

function __kit_candidates
    set -l words (commandline -opc)
    set -l typed (string replace -r '^["\']' '' -- (commandline -ct))
    set -l directive 4
    for line in ($words[1] __complete $words[2..-1] "$typed" 2>/dev/null)
        if string match -q ':*' -- $line
            set directive (string sub -s 2 -- $line)
        else
            printf '%s\n' $line
        end
    end
    set -l before (string match -r '^--[^=]*=' -- "$typed")
    set -l path (string replace -r '^--[^=]*=' '' -- "$typed")
    switch $directive
        case 0
            printf "$before%s\n" (__fish_complete_path "$path")
        case 16
            printf "$before%s\n" (__fish_complete_directories "$path" '')
    end
end

complete -c kit -e
complete -c kit -f -a '(__kit_candidates)'
