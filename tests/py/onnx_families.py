"""What tools/onnx-families measures: names of models, and how each is made with random weights. A maker returns the
module and the tensors that it is called with; sizes are small, but such that every stage still has several positions."""

import functools

# One model a module of timm, the smallest that is not a toy; more where a family has several kinds.
TIMM = """beit_base_patch16_224 eca_halonext26ts halonet_h1 lambda_resnet26t mobileone_s1 gernet_s resnet51q
 cait_xxs24_224 coat_tiny coat_lite_tiny convit_tiny convmixer_768_32 convnext_zepto_rms convnextv2_atto
 convnext_atto cpubone_nano crossvit_9_240 csatv2 cs3darknet_s cspnext_tiny davit_tiny
 deit_tiny_distilled_patch16_224 deit3_small_patch16_224 densenetblur121d dla46_c dpn48b
 edgenext_xx_small efficientformer_l1 efficientformerv2_s0 test_efficientnet_gn test_efficientnet_ln
 test_efficientnet_evos efficientnet_lite0 tinynet_e mixnet_s mnasnet_small tf_efficientnet_b0 fbnetc_100
 mobilenetv2_035 efficientvim_m1 efficientvit_b0 efficientvit_l1 efficientvit_m0
 vit_tiny_patch16_dinov3_qkvb eva02_tiny_patch14_224 vit_pe_spatial_tiny_patch16_512 fasternet_t0
 fastvit_t8 fastvit_mci0 focalnet_tiny_srf gcvit_xxtiny ghostnet_050 ghostnetv2_100 ghostnetv3_050
 hardcorenas_a hgnetv2_b0 hgnet_tiny hiera_tiny_224 hieradet_small hrnet_w18_small iformer_t
 inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s
 levit_conv_128s lowformer_b0 mambaout_femto test_maxvit maxvit_rmlp_pico_rw_256 coatnet_pico_rw_224
 poolformer_s12 poolformerv2_s12 caformer_s18 convformer_s18 gmlp_ti16_224 gmixer_12_224 resmlp_12_224
 mixer_s16_224 lcnet_050 mobilenetv3_small_050 mobilenetv4_conv_small_035 mobilenetv4_hybrid_medium
 mobilenetv5_base mobilevit_xxs mobilevitv2_050 mvitv2_tiny naflexvit_base_patch16_gap nasnetalarge
 pnasnet5large nest_tiny nextvit_small nf_regnet_b0 nf_resnet26 eca_nfnet_l0 dm_nfnet_f0 pit_ti_224
 pvt_v2_b0 pvt_v2_b2_li rdnet_tiny regnetx_002 regnety_002 regnetz_005 repghostnet_050 repvit_m0_9
 repvgg_a0 res2net50_48w_2s res2next50 resnest14d resnet10t resnetblur18 seresnext26t_32x4d ecaresnet50t
 skresnet18 resnetv2_18 resnetv2_50x1_bit rexnet_100 selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1
 starnet_s050 swiftformer_xs swin_tiny_patch4_window7_224 swin_s3_tiny_224 swinv2_tiny_window8_256
 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_patch16_224 tresnet_m twins_svt_small twins_pcpvt_small
 vgg11_bn visformer_tiny vit_tiny_patch16_224 vit_small_patch14_reg4_dinov2 vit_tiny_r_s16_p8_224
 vit_srelpos_small_patch16_224 vit_relpos_small_patch16_rpn_224 samvit_base_patch16_224 vitamin_small_224
 volo_d1_224 ese_vovnet19b_slim_dw legacy_xception xception41 xcit_nano_12_p16_224
 vit_xsmall_patch16_clip_224""".split()

TORCHVISION = (
    """alexnet googlenet inception_v3 mnasnet0_5 maxvit_t regnet_y_400mf resnext50_32x4d swin_v2_t efficientnet_v2_s
 shufflenet_v2_x1_0 fcn_resnet50 lraspp_mobilenet_v3_large deeplabv3_mobilenet_v3_large raft_small r3d_18 mc3_18 r2plus1d_18 s3d
 mvit_v2_s swin3d_t maskrcnn_resnet50_fpn
 keypointrcnn_resnet50_fpn""".split()
)


def timm_model(name):
    import timm
    import torch

    model = timm.create_model(name, pretrained=False)
    config = model.default_cfg
    size = config["input_size"][1]
    if not config.get("fixed_input_size") and size > 128 and not name.startswith(("csatv2", "halonet", "eca_halonext")):
        size = 128
    return model, [torch.rand(1, 3, size, size)]


def module(model, call):
    """A module that returns call(model, arguments)."""
    import torch

    class Called(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *arguments):
            return call(self.model, *arguments)

    return Called()


def torchvision_model(name):
    import torch
    import torchvision

    options = {"weights": None}
    if name.startswith(("fcn", "lraspp", "deeplab")):
        model = torchvision.models.get_model(name, weights_backbone=None, **options)
        return module(model, lambda m, x: m(x)["out"]), [torch.rand(1, 3, 96, 128)]
    if "rcnn" in name:
        sizes = {"min_size": 128, "max_size": 160, "rpn_post_nms_top_n_test": 20, "box_detections_per_img": 8}
        scores = {"rpn_pre_nms_top_n_test": 60, "box_score_thresh": 0.0, "weights_backbone": None}
        classes = {} if name.startswith("key") else {"num_classes": 4}
        model = torchvision.models.get_model(name, **options, **sizes, **scores, **classes)
        return module(model, lambda m, x: tuple(m([x[0]])[0].values())), [torch.rand(1, 3, 128, 160)]
    if name.startswith(("googlenet", "inception")):
        options |= {"init_weights": True, "aux_logits": False}
    model = torchvision.models.get_model(name, **options)
    if name.startswith("raft"):
        return module(model, lambda m, a, b: m(a, b, num_flow_updates=3)[-1]), [
            torch.rand(1, 3, 128, 160) for _ in "ab"
        ]
    video = {"r3d_18": (8, 56), "mc3_18": (8, 56), "r2plus1d_18": (8, 56), "s3d": (16, 224), "swin3d_t": (8, 64)}
    if name in video | {"mvit_v2_s": (16, 224)}:
        frames, size = (video | {"mvit_v2_s": (16, 224)})[name]
        return model, [torch.rand(1, 3, frames, size, size)]
    size = {"inception_v3": 128, "maxvit_t": 224, "alexnet": 96}.get(name, 96)
    return model, [torch.rand(1, 3, size, size)]


def transformers_model(kind, outputs, size=(64, 96), config=None, **options):
    """A model of transformers by class, with a small configuration; `outputs`: names of what it shall return."""
    import torch
    import transformers

    if not config:
        config = getattr(transformers, kind).config_class(**options)
    model = getattr(transformers, kind)(config)
    names = outputs.split()
    channels = getattr(config, "num_channels", 3) or 3

    def call(m, x):
        made = m(pixel_values=x)
        return tuple(getattr(made, name) for name in names)

    return module(model, call), [torch.rand(1, channels, *size)]


RESNET = {
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 48, 64],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": ["stage2", "stage3", "stage4"],
}


def backboned(kind, outputs, size, **options):
    """A detector of transformers on a ResNet of 10 layers."""
    import transformers

    backbone = transformers.ResNetConfig(**RESNET)
    if "Deformable" not in kind:
        backbone.out_features = ["stage4"]
    return transformers_model(kind, outputs, size, backbone_config=backbone, **options)


SMALL = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
HEADS = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_queries": 20}
VIT = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "image_size": 64}
FOUND, MASKS = "logits pred_boxes", "class_queries_logits masks_queries_logits"
RTDETR = {
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_layers": 2,
    "num_queries": 20,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "decoder_in_channels": [32] * 3,
    "feat_strides": [8, 16, 32],
    "encoder_in_channels": [32, 48, 64],
    "anchor_image_size": None,
    "num_denoising": 0,
}


def rtdetr(kind):
    import transformers

    resnet = transformers.RTDetrResNetConfig(**RESNET)
    return transformers_model(kind, FOUND, (96, 128), backbone_config=resnet, **RTDETR)


def sam_encoder():
    import transformers

    config = transformers.SamVisionConfig(
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        mlp_dim=96,
        image_size=128,
        output_channels=32,
        window_size=5,
        global_attn_indexes=[1],
    )
    return transformers_model("SamVisionModel", "last_hidden_state", (128, 128), config)


def depth_anything():
    import transformers

    backbone = transformers.Dinov2Config(
        **VIT | {"num_hidden_layers": 4, "image_size": 56},
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    sizes = {
        "reassemble_hidden_size": 48,
        "neck_hidden_sizes": [16, 24, 32, 48],
        "fusion_hidden_size": 24,
        "head_hidden_size": 16,
    }
    return transformers_model(
        "DepthAnythingForDepthEstimation", "predicted_depth", (70, 98), backbone_config=backbone, **sizes
    )


def clip(kind, prefix="CLIP"):
    return lambda: transformers_model(
        f"{prefix}VisionModel", "last_hidden_state pooler_output", (64, 64), **VIT, patch_size=16
    )


def hugging(kind, outputs, size=(64, 96), **options):
    return lambda: transformers_model(kind, outputs, size, **options)


SEGFORMER = {"hidden_sizes": [8, 16, 24, 32], "decoder_hidden_size": 32, "depths": [1, 1, 1, 1]}
SWIN = {"embed_dim": 16, "depths": [1, 2, 1, 1], "num_heads": [2, 2, 4, 4], "window_size": 4, "image_size": 64}
TRANSFORMERS = {
    "detr": lambda: backboned("DetrForObjectDetection", FOUND, (96, 128), **SMALL, **HEADS),
    "conditional_detr": lambda: backboned("ConditionalDetrForObjectDetection", FOUND, (96, 128), **SMALL, **HEADS),
    "dab_detr": lambda: backboned(
        "DabDetrForObjectDetection",
        FOUND,
        (96, 128),
        hidden_size=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        **HEADS,
    ),
    "deformable_detr": lambda: backboned("DeformableDetrForObjectDetection", FOUND, (96, 128), **SMALL, **HEADS),
    "deformable_detr_two_stage": lambda: backboned(
        "DeformableDetrForObjectDetection",
        FOUND,
        (96, 128),
        **SMALL,
        **HEADS | {"num_queries": 20},
        two_stage=True,
        with_box_refine=True,
        two_stage_num_proposals=20,
    ),
    "rt_detr": lambda: rtdetr("RTDetrForObjectDetection"),
    "rt_detr_v2": lambda: rtdetr("RTDetrV2ForObjectDetection"),
    "rf_detr": lambda: rf_detr(),
    "yolos": hugging(
        "YolosForObjectDetection", FOUND, (64, 96), **VIT | {"image_size": [64, 96]}, num_detection_tokens=10
    ),
    "owlv2_vision": hugging("Owlv2VisionModel", "last_hidden_state", (64, 64), **VIT, patch_size=16),
    "segformer": hugging("SegformerForSemanticSegmentation", "logits", (96, 128), **SEGFORMER),
    "glpn": hugging(
        "GLPNForDepthEstimation", "predicted_depth", (96, 128), **SEGFORMER | {"hidden_sizes": [8, 16, 40, 64]}
    ),
    "dpt": hugging(
        "DPTForDepthEstimation",
        "predicted_depth",
        (64, 64),
        **VIT | {"num_hidden_layers": 4},
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 24, 32, 48],
        fusion_hidden_size=24,
    ),
    "depth_anything": depth_anything,
    "upernet_swin": lambda: upernet(),
    "beit_segmentation": hugging(
        "BeitForSemanticSegmentation",
        "logits",
        (64, 64),
        **VIT | {"num_hidden_layers": 4},
        out_indices=[1, 2, 3, 4],
        use_relative_position_bias=True,
        num_labels=7,
    ),
    "data2vec_vision": hugging("Data2VecVisionModel", "last_hidden_state", (64, 64), **VIT),
    "mask2former": lambda: mask2former(),
    "maskformer": lambda: maskformer(),
    "eomt": hugging(
        "EomtForUniversalSegmentation",
        MASKS,
        (64, 64),
        **VIT,
        num_blocks=1,
        num_queries=10,
        patch_size=16,
    ),
    "sam_vision": sam_encoder,
    "sam2_vision": hugging("Sam2VisionModel", "last_hidden_state", (256, 256)),
    "clip_vision": clip("CLIP"),
    "siglip_vision": hugging("SiglipVisionModel", "last_hidden_state pooler_output", (64, 64), **VIT),
    "dinov2_registers": hugging("Dinov2WithRegistersModel", "last_hidden_state", (64, 96), **VIT),
    "dinov3_vit": hugging("DINOv3ViTModel", "last_hidden_state", (64, 96), **VIT, num_register_tokens=4),
    "dinov3_convnext": hugging(
        "DINOv3ConvNextModel", "last_hidden_state", (64, 96), hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1]
    ),
    "vitpose": lambda: vitpose(),
    "vit": hugging("ViTForImageClassification", "logits", (64, 64), **VIT),
    "swin2sr": hugging(
        "Swin2SRForImageSuperResolution",
        "reconstruction",
        (32, 40),
        embed_dim=24,
        depths=[2, 2],
        num_heads=[2, 2],
        window_size=4,
    ),
    "swinv2": hugging("Swinv2Model", "last_hidden_state", (64, 64), **SWIN),
    "mobilevit_segmentation": hugging("MobileViTForSemanticSegmentation", "logits", (96, 128)),
    "mobilevitv2_segmentation": hugging("MobileViTV2ForSemanticSegmentation", "logits", (96, 128)),
    "mobilenet_v2_segmentation": hugging("MobileNetV2ForSemanticSegmentation", "logits", (96, 128)),
    "superpoint": hugging("SuperPointForKeypointDetection", "keypoints scores descriptors", (64, 96)),
    "videomae": lambda: video("VideoMAEModel", 16),
    "vivit": lambda: video("VivitModel", 32),
    "timesformer": lambda: video("TimesformerModel", 8),
    "vit_mae": hugging("ViTMAEForPreTraining", "logits", (64, 64), **VIT),
    "poolformer": hugging("PoolFormerForImageClassification", "logits", (96, 96)),
    "cvt": hugging("CvtForImageClassification", "logits", (64, 64)),
    "focalnet": hugging("FocalNetModel", "last_hidden_state", (64, 64), embed_dim=16),
    "levit": hugging("LevitForImageClassification", "logits", (224, 224)),
    "mgp_str": hugging("MgpstrForSceneTextRecognition", "logits", (32, 128), num_hidden_layers=2),
    "textnet": hugging("TextNetForImageClassification", "logits", (96, 96)),
    "pp_lcnet": hugging("PPLCNetForImageClassification", "last_hidden_state", (96, 96)),
    "pvt": hugging("PvtForImageClassification", "logits", (64, 64), image_size=64),
    "swiftformer": hugging("SwiftFormerForImageClassification", "logits", (96, 96)),
    "vitdet": hugging(
        "VitDetModel",
        "last_hidden_state",
        (64, 64),
        **{k: v for k, v in VIT.items() if k != "intermediate_size"},
        window_size=3,
        use_relative_position_embeddings=True,
    ),
    "hiera": hugging("HieraForImageClassification", "logits", (224, 224), depths=[1, 1, 1, 1], embed_dim=16),
}


def upernet():
    sizes = {"hidden_size": 24, "auxiliary_in_channels": 64, "auxiliary_channels": 16}
    return transformers_model(
        "UperNetForSemanticSegmentation", "logits", (64, 96), backbone_config=swin_stages(), **sizes
    )


def rf_detr():
    import transformers

    backbone = transformers.RfDetrDinov2Config(
        **VIT | {"num_hidden_layers": 4, "image_size": 56},
        patch_size=14,
        out_indices=[2, 4],
        num_windows=2,
        window_block_indices=[0, 2],
    )
    sizes = {"d_model": 32, "num_queries": 20, "group_detr": 2, "decoder_layers": 2, "decoder_ffn_dim": 64}
    return transformers_model("RfDetrForObjectDetection", FOUND, (112, 112), backbone_config=backbone, **sizes)


def swin_stages():
    import transformers

    return transformers.SwinConfig(**SWIN, out_features=["stage1", "stage2", "stage3", "stage4"])


def mask2former():
    sizes = {
        "feature_size": 32,
        "mask_feature_size": 32,
        "hidden_dim": 32,
        "encoder_feedforward_dim": 64,
        "dim_feedforward": 64,
    }
    sizes |= {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 4, "num_queries": 10}
    return transformers_model(
        "Mask2FormerForUniversalSegmentation", MASKS, (96, 96), backbone_config=swin_stages(), **sizes
    )


def maskformer():
    import transformers

    decoder = transformers.DetrConfig(**SMALL | HEADS | {"num_queries": 10})
    sizes = {"fpn_feature_size": 32, "mask_feature_size": 32, "decoder_config": decoder}
    return transformers_model(
        "MaskFormerForInstanceSegmentation", MASKS, (96, 96), backbone_config=swin_stages(), **sizes
    )


def vitpose():
    import transformers

    backbone = transformers.VitPoseBackboneConfig(
        **VIT | {"image_size": [64, 48]}, patch_size=[16, 16], out_features=["stage2"]
    )
    return transformers_model("VitPoseForPoseEstimation", "heatmaps", (64, 48), backbone_config=backbone, num_labels=17)


def video(kind, frames):
    import torch

    model, _ = transformers_model(kind, "last_hidden_state", num_frames=frames, **VIT)
    return model, [torch.rand(1, frames, 3, 64, 64)]


MODELS = {f"timm/{name}": functools.partial(timm_model, name) for name in TIMM}
MODELS |= {f"torchvision/{name}": functools.partial(torchvision_model, name) for name in TORCHVISION}
MODELS |= {f"transformers/{name}": maker for name, maker in TRANSFORMERS.items()}
