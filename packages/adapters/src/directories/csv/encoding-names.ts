/** The encodings that CSV files are read and written in, as configurations name them. */
export const csvEncodings = [
  'utf-8',
  'utf-16le',
  'utf-16be',
  'windows-1250',
  'windows-1251',
  'windows-1252',
  'windows-1253',
  'windows-1254',
  'windows-1257',
  'iso-8859-1',
  'iso-8859-2',
  'iso-8859-15',
  'macintosh',
  'cp437',
  'cp850',
] as const;

export type CsvEncoding = (typeof csvEncodings)[number];
