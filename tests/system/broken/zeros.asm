; SPDX-License-Identifier: GPL-2.0-only
; A jump to the last bytes of memory, which hold nothing but zeros, and on over its end.
%include "header.inc"
start:
	lidt [nothing]
	mov eax, 0x01fffff0		; of 32 MiB
	jmp eax
nothing:
	dw 0
	dd 0
