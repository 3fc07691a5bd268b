; SPDX-License-Identifier: GPL-2.0-only
; A jump to where no memory is.
%include "header.inc"
start:
	lidt [nothing]
	mov eax, 0xd0000000
	jmp eax
nothing:
	dw 0
	dd 0
