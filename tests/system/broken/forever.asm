; SPDX-License-Identifier: GPL-2.0-only
; Halts with interrupts off: nothing can wake it.
%include "header.inc"
start:
	cli
	hlt
	jmp start
