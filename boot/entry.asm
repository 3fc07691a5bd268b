; SPDX-License-Identifier: GPL-2.0-only
;
; Where the boot loader enters: Multiboot headers (version 2 for GRUB, version 1
; with address fields for loaders that take no ELF64), then 32-bit code that
; brings the CPU to long mode on early page tables and calls main().
;
; Early tables: the first 4 GiB in 2 MiB pages, at their own address and again
; at DIRECT_MAP_BASE. kernel/paging.c replaces them by W^X ones.

MB1_MAGIC       equ 0x1BADB002
MB1_FLAGS       equ (1 << 0) | (1 << 1) | (1 << 16) ; page-align modules, memory info, address fields
MB2_MAGIC       equ 0xE85250D6
MB2_ARCH_I386   equ 0

COM1            equ 0x3F8
CR0_PG_WP       equ 0x80010000
CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xC0000080
EFER_LME_NXE    equ (1 << 8) | (1 << 11)
CPUID_LM        equ 1 << 29
CPUID_NX        equ 1 << 20
PTE_PW          equ 3
PTE_LARGE       equ 0x83
DIRECT_MAP_SLOT equ 273 ; PML4 index of DIRECT_MAP_BASE, 0xffff888000000000

extern main, data_end, image_start, image_end

section .multiboot progbits alloc noexec nowrite align=8
mb2_header:
        dd MB2_MAGIC, MB2_ARCH_I386, mb2_end - mb2_header
        dd -(MB2_MAGIC + MB2_ARCH_I386 + (mb2_end - mb2_header))
        ; information request: command line, modules, memory map, RSDP old and new
        dw 1, 0
        dd 8 + 5 * 4
        dd 1, 3, 6, 14, 15
        align 8
        ; modules page-aligned
        dw 6, 0
        dd 8
        ; end
        dw 0, 0
        dd 8
mb2_end:

align 4
mb1_header:
        dd MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
        dd mb1_header, image_start, data_end, image_end, _start

section .text
bits 32
global _start
_start:
        cli
        cld
        mov esp, boot_stack_top
        mov ebp, eax                    ; loader's magic
        mov esi, ebx                    ; loader's information

        mov eax, 0x80000000
        cpuid
        cmp eax, 0x80000001
        jb .no_long_mode
        mov eax, 0x80000001
        cpuid
        and edx, CPUID_LM | CPUID_NX
        cmp edx, CPUID_LM | CPUID_NX
        jne .no_long_mode

        ; Page directories: 2048 entries of 2 MiB.
        mov edi, early_pd
        mov eax, PTE_LARGE
        mov ecx, 2048
.next_pd:
        mov [edi], eax
        mov dword [edi + 4], 0
        add eax, 0x200000
        add edi, 8
        loop .next_pd
        mov eax, early_pd + PTE_PW
        mov edi, early_pdpt
        mov ecx, 4
.next_pdpt:
        mov [edi], eax
        add eax, 0x1000
        add edi, 8
        loop .next_pdpt
        mov eax, early_pdpt + PTE_PW
        mov [early_pml4], eax
        mov [early_pml4 + 8 * DIRECT_MAP_SLOT], eax

        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, early_pml4
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME_NXE
        wrmsr
        mov eax, cr0
        or eax, CR0_PG_WP
        mov cr0, eax
        lgdt [early_gdt_pointer]
        jmp 0x08:long_mode

.no_long_mode:
        mov esi, no_long_mode_text
        mov edx, COM1 + 3               ; 8 data bits, or a UART fresh from reset sends 5
        mov al, 3
        out dx, al
.next_char:
        mov edx, COM1 + 5
.wait:
        in al, dx
        test al, 0x20
        jz .wait
        lodsb
        test al, al
        jz .halt
        mov edx, COM1
        out dx, al
        jmp .next_char
.halt:
        hlt
        jmp .halt

bits 64
long_mode:
        xor eax, eax
        mov ds, eax
        mov es, eax
        mov fs, eax
        mov gs, eax
        mov ss, eax
        mov rsp, boot_stack_top
        mov edi, ebp
        mov esi, esi
        xor ebp, ebp
        call main
.halt:
        cli
        hlt
        jmp .halt

section .rodata
no_long_mode_text:
        db "spoor: error: this CPU has no 64-bit mode with no-execute pages", 13, 10, 0
align 8
early_gdt:
        dq 0
        dq 0x00AF9B000000FFFF           ; 0x08: 64-bit code
early_gdt_pointer:
        dw $ - early_gdt - 1
        dd early_gdt

section .bss nobits alloc noexec write align=4096
early_pml4:     resb 4096
early_pdpt:     resb 4096
early_pd:       resb 4 * 4096
; A guard page that kernel/paging.c unmaps, then the stack.
global boot_stack_guard, boot_stack_top
boot_stack_guard: resb 4096
                resb 4 * 4096
boot_stack_top:
