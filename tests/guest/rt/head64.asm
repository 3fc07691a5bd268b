; SPDX-License-Identifier: GPL-2.0-only
; Start of a 64-bit guest kernel: entered as 32-bit code with paging off, maps
; the first GiB onto itself with 2 MiB pages, enters long mode, calls main().
bits 32

%include "tests/guest/rt/multiboot.inc"

extern main, boot_magic, boot_info_address
global start, boot_pml4, stack_top

CR0_ON   equ 0x80010023		; PG, WP, NE, MP, PE
CR4_ON   equ 0x620		; OSXMMEXCPT, OSFXSR, PAE
EFER     equ 0xC0000080
EFER_ON  equ 0x900		; NXE, LME

section .text
start:
	cli
	cld
	mov esp, stack_top
	mov [boot_magic], eax
	mov [boot_info_address], ebx

	mov eax, boot_pdpt
	or eax, 3
	mov [boot_pml4], eax
	mov eax, boot_pd
	or eax, 3
	mov [boot_pdpt], eax
	xor ecx, ecx
.fill:	mov eax, ecx
	shl eax, 21
	or eax, 0x83
	mov [boot_pd + ecx * 8], eax
	mov dword [boot_pd + ecx * 8 + 4], 0
	inc ecx
	cmp ecx, 512
	jne .fill

	mov eax, CR4_ON
	mov cr4, eax
	mov eax, boot_pml4
	mov cr3, eax
	mov ecx, EFER
	rdmsr
	or eax, EFER_ON
	wrmsr
	mov eax, CR0_ON
	mov cr0, eax
	lgdt [gdt_pointer]
	jmp 0x08:.long

bits 64
.long:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	mov rsp, stack_top
	xor ebp, ebp
	call main
.stop:
	hlt
	jmp .stop

section .data
align 8
global gdt, gdt_pointer
gdt:	dq 0
	dq 0x00AF9B000000FFFF	; 0x08 64-bit code
	dq 0x00CF93000000FFFF	; 0x10 data
	dq 0x00CF9B000000FFFF	; 0x18 32-bit code
	dq 0x00CFF3000000FFFF	; 0x20 user data
	dq 0x00AFFB000000FFFF	; 0x28 64-bit user code
	dq 0, 0			; 0x30 TSS
gdt_end:
gdt_pointer:
	dw gdt_end - gdt - 1
	dq gdt

section .bss
align 4096
boot_pml4: resb 4096
boot_pdpt: resb 4096
boot_pd:   resb 4096
stack:	resb 32768
stack_top:
