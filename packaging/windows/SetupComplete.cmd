@echo off
rem SPDX-License-Identifier: MIT
rem Windows Setup runs this as SYSTEM when it has ended, from C:\Windows\Setup\Scripts. It installs
rem RustDesk if its installer is there, and then configures it for the service, for users that there
rem are and users to come. What it did is in rustdesk.log beside it.
setlocal
set "log=%~dp0rustdesk.log"

rem What the image brought goes first; else the stick, which is still plugged in.
set "from="
if exist "%~dp0rustdesk\install.ps1" set "from=%~dp0rustdesk"
if not defined from for %%d in (D E F G H I J K L M N O P Q R S T U V W X Y Z) do (
	if not defined from if exist "%%d:\rustdesk\install.ps1" set "from=%%d:\rustdesk"
)
if not defined from (
	echo %date% %time% no rustdesk\install.ps1 beside this script or on any drive>>"%log%"
	exit /b 1
)
echo %date% %time% from %from%>>"%log%"

set "installer="
for %%f in ("%from%\rustdesk-*.exe") do set "installer=%%f"
if defined installer (
	echo %date% %time% installing %installer%>>"%log%"
	start "" /wait "%installer%" --silent-install
)

rem The installer may end before its service is there; its files are written then.
set "tries=0"
:wait
sc query RustDesk >nul 2>&1
if not errorlevel 1 goto configure
set /a tries+=1
if %tries% lss 60 (
	ping -n 2 127.0.0.1 >nul
	goto wait
)
echo %date% %time% there is no service RustDesk: its configuration is written all the same>>"%log%"

:configure
powershell -NoProfile -ExecutionPolicy Bypass -File "%from%\install.ps1" >>"%log%" 2>&1
set "result=%errorlevel%"
echo %date% %time% install.ps1 ended with %result%>>"%log%"
exit /b %result%
