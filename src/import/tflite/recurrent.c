/* Recurrent cells. */
#include "import/tflite/model.h"

const sw_tfl_row sw__tfl_recurrent[] = {
    {0, NULL, 0},
};
