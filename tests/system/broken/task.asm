; SPDX-License-Identifier: GPL-2.0-only
; A switch to another hardware task: a VM exit that cannot be let through, and that no guest of today needs.
%include "header.inc"
start:
	lgdt [pointer]
	mov eax, 0x18
	ltr ax
	jmp 0x20:0
align 8
gdt:
	dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
	dw 0x67, tss0 - 0x100000	; the base's middle byte is 0x10: 1 MiB
	db 0x10, 0x89, 0, 0
	dw 0x67, tss1 - 0x100000
	db 0x10, 0x89, 0, 0
pointer:
	dw $ - gdt - 1
	dd gdt
align 4
tss0:
	times 26 dd 0
tss1:
	times 26 dd 0
