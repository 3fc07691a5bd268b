; SPDX-License-Identifier: GPL-2.0-only
; Start of a 32-bit guest kernel: paging stays off.
bits 32

%include "tests/guest/rt/multiboot.inc"

extern main, boot_magic, boot_info_address
global start

section .text
start:
	cli
	cld
	mov esp, stack_top
	lgdt [gdt_pointer]
	jmp 0x08:.flat
.flat:
	mov cx, 0x10
	mov ds, cx
	mov es, cx
	mov fs, cx
	mov gs, cx
	mov ss, cx
	mov [boot_magic], eax
	mov [boot_info_address], ebx
	call main
.stop:
	hlt
	jmp .stop

section .data
align 8
global gdt
gdt:	dq 0
	dq 0x00CF9B000000FFFF	; 0x08 code
	dq 0x00CF93000000FFFF	; 0x10 data
	dq 0, 0, 0, 0		; 0x18.. for the tests
gdt_end:
gdt_pointer:
	dw gdt_end - gdt - 1
	dd gdt

section .bss
align 16
stack:	resb 16384
stack_top:
