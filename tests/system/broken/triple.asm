; SPDX-License-Identifier: GPL-2.0-only
; A fault with no interrupt table: a triple fault.
%include "header.inc"
start:
	lidt [nothing]
	ud2
nothing:
	dw 0
	dd 0
