// SPDX-License-Identifier: GPL-2.0-only
// What the guest's ACPI interpreter is told beyond the fixed hardware: how to
// power off, and the two devices with a driver of their own. There is no PCI
// root: nothing is on that bus. Numbers as in devices/acpi_pm.h.
DefinitionBlock ("", "DSDT", 2, "SPOOR", "SPOORVM", 1)
{
	Name (\_S5, Package () { 0, 0, 0, 0 })

	Scope (\_SB)
	{
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_STA, 0x0F)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03F8, 0x03F8, 0x00, 0x08)
				IRQNoFlags () { 4 }
			})
		}

		Device (RTC0)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_STA, 0x0F)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 0x00, 0x02)
				IRQNoFlags () { 8 }
			})
		}
	}
}
