"""The programme as a sheet: .csv, .xlsx or Google Sheets."""
