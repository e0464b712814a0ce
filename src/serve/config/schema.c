/* The fields of inference.ModelConfig, from Triton's model_config.proto (triton-inference-server/common, 2.73): names and
 * numbers, and what becomes of those that mean nothing here. */
#include <stddef.h>

#include "serve/config/tree.h"

#define TYPE(fields)                                                                                                   \
    { fields, sizeof fields / sizeof *fields }

static const sw__field model_version_policy_latest_fields[] = {
    {"num_versions", 1, SW__UINT32},
};
static const sw__type model_version_policy_latest = TYPE(model_version_policy_latest_fields);
static const sw__type model_version_policy_all = {NULL, 0};
static const sw__field model_version_policy_specific_fields[] = {
    {"versions", 1, SW__INT64, .repeated = true},
};
static const sw__type model_version_policy_specific = TYPE(model_version_policy_specific_fields);
static const sw__field model_version_policy_fields[] = {
    {"latest", 1, SW__MESSAGE, .message = &model_version_policy_latest, .choice = 1},
    {"all", 2, SW__MESSAGE, .message = &model_version_policy_all, .choice = 1},
    {"specific", 3, SW__MESSAGE, .message = &model_version_policy_specific, .choice = 1},
};
static const sw__type model_version_policy = TYPE(model_version_policy_fields);
static const sw__enum data_type[] = {{"TYPE_INVALID", 0}, {"TYPE_BOOL", 1},    {"TYPE_UINT8", 2}, {"TYPE_UINT16", 3},
                                     {"TYPE_UINT32", 4},  {"TYPE_UINT64", 5},  {"TYPE_INT8", 6},  {"TYPE_INT16", 7},
                                     {"TYPE_INT32", 8},   {"TYPE_INT64", 9},   {"TYPE_FP16", 10}, {"TYPE_FP32", 11},
                                     {"TYPE_FP64", 12},   {"TYPE_STRING", 13}, {"TYPE_BF16", 14}, {NULL, 0}};
static const sw__enum model_input_format[] = {{"FORMAT_NONE", 0}, {"FORMAT_NHWC", 1}, {"FORMAT_NCHW", 2}, {NULL, 0}};
static const sw__field model_tensor_reshape_fields[] = {
    {"shape", 1, SW__INT64, .repeated = true},
};
static const sw__type model_tensor_reshape = TYPE(model_tensor_reshape_fields);
static const sw__field model_input_fields[] = {
    {"name", 1, SW__STRING},
    {"data_type", 2, SW__ENUM, .values = data_type},
    {"format", 3, SW__ENUM, .values = model_input_format},
    {"dims", 4, SW__INT64, .repeated = true},
    {"reshape", 5, SW__MESSAGE, .message = &model_tensor_reshape},
    {"is_shape_tensor", 6, SW__BOOL, .use = SW__IGNORED, .advice = "values are read where they are needed"},
    {"allow_ragged_batch", 7, SW__BOOL, .use = SW__IGNORED, .advice = "only requests of equal shapes share a batch"},
    {"optional", 8, SW__BOOL},
    {"is_non_linear_format_io", 9, SW__BOOL, .use = SW__IGNORED, .advice = "tensors are row-major"},
};
static const sw__type model_input = TYPE(model_input_fields);
static const sw__field model_output_fields[] = {
    {"name", 1, SW__STRING},
    {"data_type", 2, SW__ENUM, .values = data_type},
    {"dims", 3, SW__INT64, .repeated = true},
    {"reshape", 5, SW__MESSAGE, .message = &model_tensor_reshape},
    {"label_filename", 4, SW__STRING},
    {"is_shape_tensor", 6, SW__BOOL, .use = SW__IGNORED, .advice = "values are read where they are needed"},
    {"is_non_linear_format_io", 7, SW__BOOL, .use = SW__IGNORED, .advice = "tensors are row-major"},
};
static const sw__type model_output = TYPE(model_output_fields);
static const sw__enum batch_input_kind[] = {{"BATCH_ELEMENT_COUNT", 0},
                                            {"BATCH_ACCUMULATED_ELEMENT_COUNT", 1},
                                            {"BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", 2},
                                            {"BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", 3},
                                            {"BATCH_ITEM_SHAPE", 4},
                                            {"BATCH_ITEM_SHAPE_FLATTEN", 5},
                                            {NULL, 0}};
static const sw__field batch_input_fields[] = {
    {"kind", 1, SW__ENUM, .values = batch_input_kind},
    {"target_name", 2, SW__STRING, .repeated = true},
    {"data_type", 3, SW__ENUM, .values = data_type},
    {"source_input", 4, SW__STRING, .repeated = true},
};
static const sw__type batch_input = TYPE(batch_input_fields);
static const sw__enum batch_output_kind[] = {{"BATCH_SCATTER_WITH_INPUT_SHAPE", 0}, {NULL, 0}};
static const sw__field batch_output_fields[] = {
    {"target_name", 1, SW__STRING, .repeated = true},
    {"kind", 2, SW__ENUM, .values = batch_output_kind},
    {"source_input", 3, SW__STRING, .repeated = true},
};
static const sw__type batch_output = TYPE(batch_output_fields);
static const sw__field model_optimization_policy_graph_fields[] = {
    {"level", 1, SW__INT32},
};
static const sw__type model_optimization_policy_graph = TYPE(model_optimization_policy_graph_fields);
static const sw__enum model_optimization_policy_model_priority[] = {
    {"PRIORITY_DEFAULT", 0}, {"PRIORITY_MAX", 1}, {"PRIORITY_MIN", 2}, {NULL, 0}};
static const sw__field model_optimization_policy_cuda_graph_spec_shape_fields[] = {
    {"dim", 1, SW__INT64, .repeated = true},
};
static const sw__type model_optimization_policy_cuda_graph_spec_shape =
    TYPE(model_optimization_policy_cuda_graph_spec_shape_fields);
static const sw__field model_optimization_policy_cuda_graph_spec_input_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__MESSAGE, .message = &model_optimization_policy_cuda_graph_spec_shape},
};
static const sw__type model_optimization_policy_cuda_graph_spec_input_entry =
    TYPE(model_optimization_policy_cuda_graph_spec_input_entry_fields);
static const sw__field model_optimization_policy_cuda_graph_spec_lower_bound_input_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__MESSAGE, .message = &model_optimization_policy_cuda_graph_spec_shape},
};
static const sw__type model_optimization_policy_cuda_graph_spec_lower_bound_input_entry =
    TYPE(model_optimization_policy_cuda_graph_spec_lower_bound_input_entry_fields);
static const sw__field model_optimization_policy_cuda_graph_spec_lower_bound_fields[] = {
    {"batch_size", 1, SW__INT32},
    {"input", 2, SW__MESSAGE, .map = true,
     .message = &model_optimization_policy_cuda_graph_spec_lower_bound_input_entry},
};
static const sw__type model_optimization_policy_cuda_graph_spec_lower_bound =
    TYPE(model_optimization_policy_cuda_graph_spec_lower_bound_fields);
static const sw__field model_optimization_policy_cuda_graph_spec_fields[] = {
    {"batch_size", 1, SW__INT32},
    {"input", 2, SW__MESSAGE, .map = true, .message = &model_optimization_policy_cuda_graph_spec_input_entry},
    {"graph_lower_bound", 3, SW__MESSAGE, .message = &model_optimization_policy_cuda_graph_spec_lower_bound},
};
static const sw__type model_optimization_policy_cuda_graph_spec =
    TYPE(model_optimization_policy_cuda_graph_spec_fields);
static const sw__field model_optimization_policy_cuda_fields[] = {
    {"graphs", 1, SW__BOOL},
    {"busy_wait_events", 2, SW__BOOL},
    {"graph_spec", 3, SW__MESSAGE, .repeated = true, .message = &model_optimization_policy_cuda_graph_spec},
    {"output_copy_stream", 4, SW__BOOL},
};
static const sw__type model_optimization_policy_cuda = TYPE(model_optimization_policy_cuda_fields);
static const sw__field model_optimization_policy_execution_accelerators_accelerator_parameters_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__STRING},
};
static const sw__type model_optimization_policy_execution_accelerators_accelerator_parameters_entry =
    TYPE(model_optimization_policy_execution_accelerators_accelerator_parameters_entry_fields);
static const sw__field model_optimization_policy_execution_accelerators_accelerator_fields[] = {
    {"name", 1, SW__STRING},
    {"parameters", 2, SW__MESSAGE, .map = true,
     .message = &model_optimization_policy_execution_accelerators_accelerator_parameters_entry},
};
static const sw__type model_optimization_policy_execution_accelerators_accelerator =
    TYPE(model_optimization_policy_execution_accelerators_accelerator_fields);
static const sw__field model_optimization_policy_execution_accelerators_fields[] = {
    {"gpu_execution_accelerator", 1, SW__MESSAGE, .repeated = true,
     .message = &model_optimization_policy_execution_accelerators_accelerator},
    {"cpu_execution_accelerator", 2, SW__MESSAGE, .repeated = true,
     .message = &model_optimization_policy_execution_accelerators_accelerator},
};
static const sw__type model_optimization_policy_execution_accelerators =
    TYPE(model_optimization_policy_execution_accelerators_fields);
static const sw__field model_optimization_policy_pinned_memory_buffer_fields[] = {
    {"enable", 1, SW__BOOL},
};
static const sw__type model_optimization_policy_pinned_memory_buffer =
    TYPE(model_optimization_policy_pinned_memory_buffer_fields);
static const sw__field model_optimization_policy_fields[] = {
    {"graph", 1, SW__MESSAGE, .message = &model_optimization_policy_graph},
    {"priority", 2, SW__ENUM, .values = model_optimization_policy_model_priority},
    {"cuda", 3, SW__MESSAGE, .message = &model_optimization_policy_cuda},
    {"execution_accelerators", 4, SW__MESSAGE, .message = &model_optimization_policy_execution_accelerators},
    {"input_pinned_memory", 5, SW__MESSAGE, .message = &model_optimization_policy_pinned_memory_buffer},
    {"output_pinned_memory", 6, SW__MESSAGE, .message = &model_optimization_policy_pinned_memory_buffer},
    {"gather_kernel_buffer_threshold", 7, SW__UINT32},
    {"eager_batching", 8, SW__BOOL},
};
static const sw__type model_optimization_policy = TYPE(model_optimization_policy_fields);
static const sw__enum model_queue_policy_timeout_action[] = {{"REJECT", 0}, {"DELAY", 1}, {NULL, 0}};
static const sw__field model_queue_policy_fields[] = {
    {"timeout_action", 1, SW__ENUM, .values = model_queue_policy_timeout_action},
    {"default_timeout_microseconds", 2, SW__UINT64},
    {"allow_timeout_override", 3, SW__BOOL},
    {"max_queue_size", 4, SW__UINT32},
};
static const sw__type model_queue_policy = TYPE(model_queue_policy_fields);
static const sw__field model_dynamic_batching_priority_queue_policy_entry_fields[] = {
    {"key", 1, SW__UINT64},
    {"value", 2, SW__MESSAGE, .message = &model_queue_policy},
};
static const sw__type model_dynamic_batching_priority_queue_policy_entry =
    TYPE(model_dynamic_batching_priority_queue_policy_entry_fields);
static const sw__field model_dynamic_batching_fields[] = {
    {"preferred_batch_size", 1, SW__INT32, .repeated = true},
    {"max_queue_delay_microseconds", 2, SW__UINT64},
    {"preserve_ordering", 3, SW__BOOL},
    {"priority_levels", 4, SW__UINT64},
    {"default_priority_level", 5, SW__UINT64},
    {"default_queue_policy", 6, SW__MESSAGE, .message = &model_queue_policy},
    {"priority_queue_policy", 7, SW__MESSAGE, .map = true,
     .message = &model_dynamic_batching_priority_queue_policy_entry},
};
static const sw__type model_dynamic_batching = TYPE(model_dynamic_batching_fields);
static const sw__field model_sequence_batching_strategy_direct_fields[] = {
    {"max_queue_delay_microseconds", 1, SW__UINT64},
    {"minimum_slot_utilization", 2, SW__FLOAT},
};
static const sw__type model_sequence_batching_strategy_direct = TYPE(model_sequence_batching_strategy_direct_fields);
static const sw__field model_sequence_batching_strategy_oldest_fields[] = {
    {"max_candidate_sequences", 1, SW__INT32},
    {"preferred_batch_size", 2, SW__INT32, .repeated = true},
    {"max_queue_delay_microseconds", 3, SW__UINT64},
    {"preserve_ordering", 4, SW__BOOL},
};
static const sw__type model_sequence_batching_strategy_oldest = TYPE(model_sequence_batching_strategy_oldest_fields);
static const sw__enum model_sequence_batching_control_kind[] = {{"CONTROL_SEQUENCE_START", 0},
                                                                {"CONTROL_SEQUENCE_READY", 1},
                                                                {"CONTROL_SEQUENCE_END", 2},
                                                                {"CONTROL_SEQUENCE_CORRID", 3},
                                                                {NULL, 0}};
static const sw__field model_sequence_batching_control_fields[] = {
    {"kind", 1, SW__ENUM, .values = model_sequence_batching_control_kind},
    {"int32_false_true", 2, SW__INT32, .repeated = true},
    {"fp32_false_true", 3, SW__FLOAT, .repeated = true},
    {"bool_false_true", 5, SW__BOOL, .repeated = true},
    {"data_type", 4, SW__ENUM, .values = data_type},
};
static const sw__type model_sequence_batching_control = TYPE(model_sequence_batching_control_fields);
static const sw__field model_sequence_batching_control_input_fields[] = {
    {"name", 1, SW__STRING},
    {"control", 2, SW__MESSAGE, .repeated = true, .message = &model_sequence_batching_control},
};
static const sw__type model_sequence_batching_control_input = TYPE(model_sequence_batching_control_input_fields);
static const sw__field model_sequence_batching_initial_state_fields[] = {
    {"data_type", 1, SW__ENUM, .values = data_type},
    {"dims", 2, SW__INT64, .repeated = true},
    {"zero_data", 3, SW__BOOL, .choice = 1},
    {"data_file", 4, SW__STRING, .choice = 1},
    {"name", 5, SW__STRING},
};
static const sw__type model_sequence_batching_initial_state = TYPE(model_sequence_batching_initial_state_fields);
static const sw__field model_sequence_batching_state_fields[] = {
    {"input_name", 1, SW__STRING},
    {"output_name", 2, SW__STRING},
    {"data_type", 3, SW__ENUM, .values = data_type},
    {"dims", 4, SW__INT64, .repeated = true},
    {"initial_state", 5, SW__MESSAGE, .repeated = true, .message = &model_sequence_batching_initial_state},
    {"use_same_buffer_for_input_output", 6, SW__BOOL},
    {"use_growable_memory", 7, SW__BOOL},
};
static const sw__type model_sequence_batching_state = TYPE(model_sequence_batching_state_fields);
static const sw__field model_sequence_batching_fields[] = {
    {"direct", 3, SW__MESSAGE, .message = &model_sequence_batching_strategy_direct, .choice = 1},
    {"oldest", 4, SW__MESSAGE, .message = &model_sequence_batching_strategy_oldest, .choice = 1},
    {"max_sequence_idle_microseconds", 1, SW__UINT64},
    {"control_input", 2, SW__MESSAGE, .repeated = true, .message = &model_sequence_batching_control_input},
    {"state", 5, SW__MESSAGE, .repeated = true, .message = &model_sequence_batching_state},
    {"iterative_sequence", 6, SW__BOOL},
};
static const sw__type model_sequence_batching = TYPE(model_sequence_batching_fields);
static const sw__field model_ensembling_step_input_map_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__STRING},
};
static const sw__type model_ensembling_step_input_map_entry = TYPE(model_ensembling_step_input_map_entry_fields);
static const sw__field model_ensembling_step_output_map_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__STRING},
};
static const sw__type model_ensembling_step_output_map_entry = TYPE(model_ensembling_step_output_map_entry_fields);
static const sw__field model_ensembling_step_fields[] = {
    {"model_name", 1, SW__STRING},
    {"model_version", 2, SW__INT64},
    {"input_map", 3, SW__MESSAGE, .map = true, .message = &model_ensembling_step_input_map_entry},
    {"output_map", 4, SW__MESSAGE, .map = true, .message = &model_ensembling_step_output_map_entry},
    {"model_namespace", 5, SW__STRING, .use = SW__REFUSED, .advice = "models have one name space; remove it"},
};
static const sw__type model_ensembling_step = TYPE(model_ensembling_step_fields);
static const sw__field model_ensembling_fields[] = {
    {"step", 1, SW__MESSAGE, .repeated = true, .message = &model_ensembling_step},
    {"max_inflight_requests", 2, SW__UINT32},
};
static const sw__type model_ensembling = TYPE(model_ensembling_fields);
static const sw__enum model_instance_group_kind[] = {
    {"KIND_AUTO", 0}, {"KIND_GPU", 1}, {"KIND_CPU", 2}, {"KIND_MODEL", 3}, {NULL, 0}};
static const sw__field model_rate_limiter_resource_fields[] = {
    {"name", 1, SW__STRING},
    {"global", 2, SW__BOOL},
    {"count", 3, SW__UINT32},
};
static const sw__type model_rate_limiter_resource = TYPE(model_rate_limiter_resource_fields);
static const sw__field model_rate_limiter_fields[] = {
    {"resources", 1, SW__MESSAGE, .repeated = true, .message = &model_rate_limiter_resource},
    {"priority", 2, SW__UINT32},
};
static const sw__type model_rate_limiter = TYPE(model_rate_limiter_fields);
static const sw__enum model_instance_group_secondary_device_secondary_device_kind[] = {{"KIND_NVDLA", 0}, {NULL, 0}};
static const sw__field model_instance_group_secondary_device_fields[] = {
    {"kind", 1, SW__ENUM, .values = model_instance_group_secondary_device_secondary_device_kind},
    {"device_id", 2, SW__INT64},
};
static const sw__type model_instance_group_secondary_device = TYPE(model_instance_group_secondary_device_fields);
static const sw__field model_instance_group_fields[] = {
    {"name", 1, SW__STRING},
    {"kind", 4, SW__ENUM, .values = model_instance_group_kind},
    {"count", 2, SW__INT32},
    {"rate_limiter", 6, SW__MESSAGE, .message = &model_rate_limiter, .use = SW__IGNORED,
     .advice = "rates are not limited by resources, as with Triton's --rate-limit=off"},
    {"gpus", 3, SW__INT32, .repeated = true},
    {"secondary_devices", 8, SW__MESSAGE, .repeated = true, .message = &model_instance_group_secondary_device,
     .use = SW__REFUSED, .advice = "there are no secondary devices; remove it"},
    {"profile", 5, SW__STRING, .repeated = true, .use = SW__IGNORED,
     .advice = "the profile is chosen by the shapes of each batch"},
    {"passive", 7, SW__BOOL},
    {"host_policy", 9, SW__STRING, .use = SW__IGNORED, .advice = "host policies do not exist"},
};
static const sw__type model_instance_group = TYPE(model_instance_group_fields);
static const sw__field model_config_cc_model_filenames_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__STRING},
};
static const sw__type model_config_cc_model_filenames_entry = TYPE(model_config_cc_model_filenames_entry_fields);
static const sw__field model_config_metric_tags_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__STRING},
};
static const sw__type model_config_metric_tags_entry = TYPE(model_config_metric_tags_entry_fields);
static const sw__field model_parameter_fields[] = {
    {"string_value", 1, SW__STRING},
};
static const sw__type model_parameter = TYPE(model_parameter_fields);
static const sw__field model_config_parameters_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__MESSAGE, .message = &model_parameter},
};
static const sw__type model_config_parameters_entry = TYPE(model_config_parameters_entry_fields);
static const sw__field model_warmup_input_fields[] = {
    {"data_type", 1, SW__ENUM, .values = data_type}, {"dims", 2, SW__INT64, .repeated = true},
    {"zero_data", 3, SW__BOOL, .choice = 1},         {"random_data", 4, SW__BOOL, .choice = 1},
    {"input_data_file", 5, SW__STRING, .choice = 1},
};
static const sw__type model_warmup_input = TYPE(model_warmup_input_fields);
static const sw__field model_warmup_inputs_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__MESSAGE, .message = &model_warmup_input},
};
static const sw__type model_warmup_inputs_entry = TYPE(model_warmup_inputs_entry_fields);
static const sw__field model_warmup_fields[] = {
    {"name", 1, SW__STRING},
    {"batch_size", 2, SW__UINT32},
    {"inputs", 3, SW__MESSAGE, .map = true, .message = &model_warmup_inputs_entry},
    {"count", 4, SW__UINT32},
};
static const sw__type model_warmup = TYPE(model_warmup_fields);
static const sw__field model_operations_fields[] = {
    {"op_library_filename", 1, SW__STRING, .repeated = true},
};
static const sw__type model_operations = TYPE(model_operations_fields);
static const sw__field model_transaction_policy_fields[] = {
    {"decoupled", 1, SW__BOOL},
};
static const sw__type model_transaction_policy = TYPE(model_transaction_policy_fields);
static const sw__field model_repository_agents_agent_parameters_entry_fields[] = {
    {"key", 1, SW__STRING},
    {"value", 2, SW__STRING},
};
static const sw__type model_repository_agents_agent_parameters_entry =
    TYPE(model_repository_agents_agent_parameters_entry_fields);
static const sw__field model_repository_agents_agent_fields[] = {
    {"name", 1, SW__STRING},
    {"parameters", 2, SW__MESSAGE, .map = true, .message = &model_repository_agents_agent_parameters_entry},
};
static const sw__type model_repository_agents_agent = TYPE(model_repository_agents_agent_fields);
static const sw__field model_repository_agents_fields[] = {
    {"agents", 1, SW__MESSAGE, .repeated = true, .message = &model_repository_agents_agent},
};
static const sw__type model_repository_agents = TYPE(model_repository_agents_fields);
static const sw__field model_response_cache_fields[] = {
    {"enable", 1, SW__BOOL},
};
static const sw__type model_response_cache = TYPE(model_response_cache_fields);
static const sw__field model_metrics_metric_control_metric_identifier_fields[] = {
    {"family", 1, SW__STRING},
};
static const sw__type model_metrics_metric_control_metric_identifier =
    TYPE(model_metrics_metric_control_metric_identifier_fields);
static const sw__field model_metrics_metric_control_histogram_options_fields[] = {
    {"buckets", 1, SW__DOUBLE, .repeated = true},
};
static const sw__type model_metrics_metric_control_histogram_options =
    TYPE(model_metrics_metric_control_histogram_options_fields);
static const sw__field model_metrics_metric_control_fields[] = {
    {"metric_identifier", 1, SW__MESSAGE, .message = &model_metrics_metric_control_metric_identifier},
    {"histogram_options", 2, SW__MESSAGE, .message = &model_metrics_metric_control_histogram_options, .choice = 1},
};
static const sw__type model_metrics_metric_control = TYPE(model_metrics_metric_control_fields);
static const sw__field model_metrics_fields[] = {
    {"metric_control", 1, SW__MESSAGE, .repeated = true, .message = &model_metrics_metric_control},
};
static const sw__type model_metrics = TYPE(model_metrics_fields);
static const sw__field model_config_fields[] = {
    {"name", 1, SW__STRING},
    {"platform", 2, SW__STRING},
    {"backend", 17, SW__STRING},
    {"runtime", 25, SW__STRING, .use = SW__IGNORED, .advice = "there is one runtime"},
    {"version_policy", 3, SW__MESSAGE, .message = &model_version_policy},
    {"max_batch_size", 4, SW__INT32},
    {"input", 5, SW__MESSAGE, .repeated = true, .message = &model_input},
    {"output", 6, SW__MESSAGE, .repeated = true, .message = &model_output},
    {"batch_input", 20, SW__MESSAGE, .repeated = true, .message = &batch_input, .use = SW__REFUSED,
     .advice = "inputs made from the batch are not served; remove it"},
    {"batch_output", 21, SW__MESSAGE, .repeated = true, .message = &batch_output, .use = SW__REFUSED,
     .advice = "outputs cut by the batch are not served; remove it"},
    {"optimization", 12, SW__MESSAGE, .message = &model_optimization_policy, .use = SW__IGNORED,
     .advice = "kernels are chosen when the plan is built"},
    {"dynamic_batching", 11, SW__MESSAGE, .message = &model_dynamic_batching, .choice = 1},
    {"sequence_batching", 13, SW__MESSAGE, .message = &model_sequence_batching, .choice = 1, .use = SW__REFUSED,
     .advice = "sequences are not served; remove it, or keep the state in the client"},
    {"ensemble_scheduling", 15, SW__MESSAGE, .message = &model_ensembling, .choice = 1},
    {"instance_group", 7, SW__MESSAGE, .repeated = true, .message = &model_instance_group},
    {"default_model_filename", 8, SW__STRING},
    {"cc_model_filenames", 9, SW__MESSAGE, .map = true, .message = &model_config_cc_model_filenames_entry,
     .use = SW__IGNORED, .advice = "there is one file for all devices, which default_model_filename may name"},
    {"metric_tags", 10, SW__MESSAGE, .map = true, .message = &model_config_metric_tags_entry},
    {"parameters", 14, SW__MESSAGE, .map = true, .message = &model_config_parameters_entry},
    {"model_warmup", 16, SW__MESSAGE, .repeated = true, .message = &model_warmup},
    {"model_operations", 18, SW__MESSAGE, .message = &model_operations, .use = SW__IGNORED,
     .advice = "libraries of operators are not loaded"},
    {"model_transaction_policy", 19, SW__MESSAGE, .message = &model_transaction_policy},
    {"model_repository_agents", 23, SW__MESSAGE, .message = &model_repository_agents, .use = SW__REFUSED,
     .advice = "repository agents are not run; remove it"},
    {"response_cache", 24, SW__MESSAGE, .message = &model_response_cache, .use = SW__IGNORED,
     .advice = "there is no cache of responses; every request is computed"},
    {"model_metrics", 26, SW__MESSAGE, .message = &model_metrics, .use = SW__IGNORED,
     .advice = "histograms have fixed buckets"},
};
const sw__type sw__model_config = TYPE(model_config_fields);
