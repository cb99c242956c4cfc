#requires -Version 5.1
#requires -RunAsAdministrator
<#
.SYNOPSIS
RustDesk clients on this machine use the server below. Written by rdsrv export-conf.

.DESCRIPTION
Those of all users, of users to come, and of the service. What is right already is left alone, and
so are other settings. If anything has to be changed, the RustDesk that runs is ended and started
again, which ends sessions to this machine. As administrator:

  powershell -ExecutionPolicy Bypass -File FILE [-WhatIf]

.PARAMETER WhatIf
Only say what would be changed.
#>
[CmdletBinding(SupportsShouldProcess = $true)]
param()

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Settings = @'
@SETTINGS@
'@

# The names that ours have, at the top and in [options].
$Top = '^\s*rendezvous_server\s*='
$Options = '^\s*(custom-rendezvous-server|relay-server|api-server|key)\s*='

# The lines of a RustDesk2.toml as they are to be.
function Merge-Line([string[]] $Old) {
    $ours = @($Settings -split '\r?\n')
    $at = [Array]::IndexOf($ours, '[options]')
    $inOptions = $ours[($at + 1)..($ours.Count - 1)]
    $table = ''
    $done = $false

    $ours[0]
    foreach ($line in $Old) {
        if ($line -match '^\s*\[') {
            $table = ($line -replace '#.*$', '') -replace '\s', ''
            $line
            if ($table -ceq '[options]') {
                $inOptions
                $done = $true
            }
        }
        elseif (-not (($table -ceq '' -and $line -cmatch $Top) -or
                ($table -ceq '[options]' -and $line -cmatch $Options))) {
            $line
        }
    }
    if (-not $done) {
        '[options]'
        $inOptions
    }
}

# What a file is to hold; nothing, if it holds that already.
function Get-NewText([string] $Path) {
    $old = @()
    if (Test-Path -LiteralPath $Path) {
        $old = [IO.File]::ReadAllLines($Path)
    }
    if (($old -join "`n") -match "'''|`"`"`"") {
        Write-Warning "${Path}: holds texts of several lines, which this script can't handle"
        return
    }
    $new = @(Merge-Line $old)
    if (($old -join "`n") -cne ($new -join "`n")) {
        ($new -join "`n") + "`n"
    }
}

# Nobody's link leads what an administrator writes to somewhere else.
function Test-Link([string] $Path) {
    foreach ($place in $Path, (Split-Path $Path), (Split-Path (Split-Path $Path))) {
        $item = Get-Item -LiteralPath $place -Force -ErrorAction SilentlyContinue
        if ($item -and ($item.Attributes -band [IO.FileAttributes]::ReparsePoint)) {
            return $true
        }
    }
    return $false
}

function Set-Config([string] $Path) {
    $text = Get-NewText $Path
    if (-not $text -or -not $PSCmdlet.ShouldProcess($Path, 'Write RustDesk settings')) {
        return
    }
    [void] [IO.Directory]::CreateDirectory((Split-Path $Path))
    $temporary = "$Path.new"
    [IO.File]::WriteAllText($temporary, $text, (New-Object Text.UTF8Encoding $false))
    if (Test-Path -LiteralPath $Path) {
        [IO.File]::Replace($temporary, $Path, [NullString]::Value)
    }
    else {
        [IO.File]::Move($temporary, $Path)
    }
    Write-Output "${Path}: changed"
}

# Profiles of people, the one that new users' are copied from, and the service's.
$list = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList'
$profiles = @(Get-ChildItem $list |
        Where-Object { $_.PSChildName -match '^S-1-(5-21|12-1)-' } |
        ForEach-Object { $_.GetValue('ProfileImagePath') })
$profiles += (Get-Item $list).GetValue('Default')
$profiles += "$env:SystemRoot\ServiceProfiles\LocalService"

$files = @($profiles | Where-Object { $_ -and (Test-Path -LiteralPath $_) } |
        ForEach-Object { Join-Path $_ 'AppData\Roaming\RustDesk\config\RustDesk2.toml' })
$wrong = @(foreach ($file in $files) {
        if (Test-Link $file) {
            Write-Warning "${file}: leads elsewhere by a link, and is left alone"
        }
        elseif (Get-NewText $file) {
            $file
        }
    })
if ($wrong.Count -eq 0) {
    Write-Output 'Everything is right already.'
    return
}

# A RustDesk that runs would write its old settings when it ends.
$service = Get-Service -Name 'RustDesk' -ErrorAction SilentlyContinue
$runs = $service -and $service.Status -eq 'Running'
if ($runs) {
    Stop-Service -Name 'RustDesk' -Force
}
Get-Process -Name 'rustdesk' -ErrorAction SilentlyContinue | Stop-Process -Force
try {
    foreach ($file in $wrong) {
        Set-Config $file
    }
}
finally {
    if ($runs) {
        Start-Service -Name 'RustDesk'
    }
}
