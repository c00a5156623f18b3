/** The name of the configuration file, apart from what reads it: the command line needs no more for a start. */
export const CONFIGURATION_FILE_NAME = 'dirpost.yaml';
