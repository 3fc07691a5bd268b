; SPDX-License-Identifier: GPL-2.0-only
; A boot sector that says whether this machine really gives VMX: it executes VMXON. Used to choose the machine for
; `make run`. The answer goes to port 0xE9 ('V' yes, 'N' no) and ends QEMU through isa-debug-exit (value 1 yes, 2 no).
bits 16
org 0x7c00

PAGE_DIRECTORY	equ 0x10000
VMXON_REGION	equ 0x11000

start:
	cli
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	in al, 0x92			; A20 on, where it is not
	or al, 2
	and al, 0xfe
	out 0x92, al
	mov eax, 1
	cpuid
	test ecx, 1 << 5		; CPUID.1:ECX.VMX
	jz none16
	lgdt [gdt_pointer]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 0x08:protected
none16:
	mov al, 'N'
	out 0xe9, al
	mov ax, 2
	out 0xf4, ax
	jmp off

bits 32
protected:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov ecx, 0x3a			; IA32_FEATURE_CONTROL
	rdmsr
	test al, 1			; not locked: set "VMX outside SMX" and lock
	jnz locked
	or al, 5
	wrmsr
locked:
	test al, 4
	jz none
	mov edi, PAGE_DIRECTORY		; one 4 MiB page, identity: VMX wants paging on
	xor eax, eax
	mov ecx, 2048
	cld
	rep stosd
	mov dword [PAGE_DIRECTORY], 0x83
	mov eax, cr4
	or eax, (1 << 4) | (1 << 13)	; PSE, VMXE
	mov cr4, eax
	mov eax, PAGE_DIRECTORY
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80000021		; PG, NE, PE
	mov cr0, eax
	mov ecx, 0x480			; IA32_VMX_BASIC: the revision
	rdmsr
	mov [VMXON_REGION], eax
	vmxon [region]
	jbe none			; VMfailInvalid or VMfailValid
	mov bl, 'V'
	mov dx, 1
	jmp answer
none:
	mov bl, 'N'
	mov dx, 2
answer:
	mov al, bl
	out 0xe9, al
	mov eax, edx
	out 0xf4, eax
off:
	mov esi, shutdown		; Bochs' way to end
	mov ecx, 8
	mov dx, 0x8900
	rep outsb
halt:
	hlt
	jmp halt

align 8
gdt:
	dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
	dw $ - gdt - 1
	dd gdt
region:
	dq VMXON_REGION
shutdown:
	db 'Shutdown'
times 510 - ($ - $$) db 0
	dw 0xaa55
