; SPDX-License-Identifier: GPL-2.0-only
; Asks a hypervisor for something, and when it is only told that there is none, halts for ever.
%include "header.inc"
start:
	vmcall
	cli
	hlt
