# Completes `kit` in PowerShell: asks the program what could come next.

Register-ArgumentCompleter -Native -CommandName 'kit' -ScriptBlock {
    param($typed, $line, $cursor)

    $words = @($line.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursor } |
        ForEach-Object { if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text } })
    if ($words.Count -eq 0) { return }
    $program = $words[0]
    $before = @($words | Select-Object -Skip 1)
    # Before 7.3 an empty argument is lost on the way to a program.
    $last = $typed
    if ($last -eq '' -and ($PSVersionTable.PSVersion -lt [version]'7.3.0' -or $PSNativeCommandArgumentPassing -eq 'Legacy')) {
        $last = '""'
    }
    $lines = @(& $program __complete @before $last 2>$null)

    foreach ($candidate in $lines) {
        if ($candidate.StartsWith(':')) { continue }
        $value, $description = $candidate -split "`t", 2
        if (-not $description) { $description = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $description)
    }
}
